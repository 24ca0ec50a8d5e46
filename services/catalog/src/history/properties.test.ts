import { randomUUID } from 'node:crypto'
import { adminRights } from '@berth/access'
import type { Digest } from '@berth/oci'
import { Problem } from '@berth/service'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { curate } from '../curation/curate.ts'
import { insertDistribution, updateDistribution } from '../distributions/write.ts'
import { removeAll } from '../intervals/edit.ts'
import { deleteReference } from '../pushes/delete-reference.ts'
import { applyRetention } from '../retention/apply.ts'
import { commitStage } from '../stages/commit-stage.ts'
import { stageContent } from '../stages/stage-content.ts'
import { type Catalog, contentOf, idOf, newCall, pushManifest, startCatalog } from '../testing/catalog.fixture.ts'
import { deleteVersion } from '../versions/drop-versions.ts'
import { rollBack } from '../versions/rollback.ts'
import { letGo, writeOutRollback } from '../versions/rollback-writer.ts'
import { distributionAt, distributionHistory, placeOf } from './distributions.ts'
import { forgetHistory } from './forget.ts'
import { type TagEntry, tagAt, tagHistory } from './tags.ts'

// `BERTH_TEST_RUNS=20` does thousands of operations more.
const runs = 4 * Number(process.env.BERTH_TEST_RUNS ?? 1)
const seed = Number(process.env.BERTH_TEST_SEED ?? 20_261_129)
const rights = adminRights(randomUUID())
const actor = { id: randomUUID(), name: 'ana' }
const tags = ['a', 'b', 'c']

let catalog: Catalog
beforeAll(async () => {
  catalog = await startCatalog()
})
afterAll(() => catalog?.stop())

type Step = { kind: number; a: number; b: number; c: number }
const step: fc.Arbitrary<Step> = fc.record({ kind: fc.nat(99), a: fc.nat(1), b: fc.nat(999), c: fc.nat(999) })
type Seen = {
  time: string
  tags: { repositoryId: string; digests: Record<string, Digest> }[]
  served: { repositoryId: string; version: number; digests: Record<string, Digest> }
}

let gone = 0

/** Two repositories, a distribution that is pointed at one or the other, and what was seen of them after each step. */
class Quay {
  static #made = 0
  readonly names: string[]
  readonly seen: Seen[] = []
  distributionId = ''
  readonly #prefix = `quay-${Quay.#made++}`

  constructor() {
    this.names = [0, 1].map((i) => `${this.#prefix}/${i}`)
  }

  async open(): Promise<void> {
    for (const name of this.names) await pushManifest(catalog.db, name, { name: `${name} first` }, ['a'])
    const repositoryId = await idOf(catalog.db, this.names[0] as string)
    this.distributionId = await catalog.db.transaction((sql) =>
      insertDistribution(
        sql,
        { name: `${this.#prefix}/prod`, basePath: `${this.#prefix}/prod` },
        { repositoryId },
        { actor, ownerId: null },
      ),
    )
    await this.look()
  }

  async apply(one: Step): Promise<void> {
    try {
      await this.#carryOut(one)
    } catch (error) {
      if (!(error instanceof Problem)) throw error
    }
    await this.look()
  }

  async #carryOut({ kind, a, b, c }: Step): Promise<void> {
    const { db } = catalog
    const name = this.names[a] as string
    const repositoryId = await idOf(db, name)
    const tag = tags[b % tags.length] as string
    const [head] = await db.query<{ latest: number }>('select latest_version as latest from repository where id = $1', [
      repositoryId,
    ])
    const version = c % ((head?.latest ?? 0) + 1)
    const image = { name: `${name} ${c % 6}` }
    if (kind < 25)
      await pushManifest(db, name, image, c % 7 === 0 ? [] : [...new Set(b % 2 === 0 ? [tag] : [tag, 'c'])])
    else if (kind < 32) await deleteReference(db, { repository: name, actor, tag }, newCall())
    else if (kind < 45) await rollBack(db, { repositoryId, version, actor }, b % 2 === 0 ? 0 : undefined)
    else if (kind < 50) await this.#settle(repositoryId)
    else if (kind < 62) await this.#sync(name, repositoryId, b, c)
    else if (kind < 75) await this.#promote(a === 0 ? undefined : repositoryId, c % 3 === 0 ? null : version)
    else if (kind < 80) {
      const rules = JSON.stringify({ rules: [{ tags: ['*'], keepLast: 1 }], untaggedDays: 0 })
      await db.query('update repository set retention = $2 where id = $1', [repositoryId, rules])
      await applyRetention(db, { repositoryId, actor })
    } else if (kind < 87) {
      await deleteVersion(db, { repositoryId, number: version, actor })
      gone++
    } else if (kind < 92)
      await db.query('update repository set retain_versions = $2 where id = $1', [
        repositoryId,
        b % 3 === 0 ? null : (b % 3) + 1,
      ])
    else if (kind < 95)
      await curate(db, { repositoryId, actor, cause: 'remove', foldsFirst: true }, (sql, edit) => removeAll(sql, edit))
    else if (kind < 97) await forgetHistory(db, 400, new AbortController().signal)
    else await this.#makeAgain(name, repositoryId)
  }

  async #settle(id: string): Promise<void> {
    await writeOutRollback(catalog.db, id)
    await letGo(catalog.db, id, async () => undefined)
  }

  async #sync(name: string, repositoryId: string, b: number, c: number): Promise<void> {
    const digests = [await pushManifest(catalog.db, name, { name: `${name} ${b % 6}` })]
    digests.push(await pushManifest(catalog.db, name, { name: `${name} ${c % 6}` }))
    const stage = randomUUID()
    const staged = digests.map((digest, i) => ({ name: tags[(b + i) % tags.length] as string, digest }))
    await stageContent(catalog.db, { stage, fence: 1, manifests: [], tags: staged })
    const mode = c % 2 === 0 ? 'mirror' : 'additive'
    const request = { repositoryId, stage, fence: 1, cause: 'sync', actor, taskId: randomUUID(), mode, force: true }
    await commitStage(catalog.db, request as Parameters<typeof commitStage>[1])
  }

  async #promote(repositoryId: string | undefined, wanted: number | null): Promise<void> {
    const { db } = catalog
    await db.transaction(async (sql) => {
      const [at] = await sql.query<{ id: string }>('select repository_id as id from distribution where id = $1', [
        this.distributionId,
      ])
      const id = repositoryId ?? at?.id
      const found = await sql.query('select from version where repository_id = $1 and number = $2', [id, wanted])
      const version = found.length > 0 ? wanted : null
      await updateDistribution(sql, this.distributionId, { ...(repositoryId ? { repositoryId } : {}), version }, actor)
    })
  }

  /** Where nothing points at it: what it was inherits nothing to what comes. */
  async #makeAgain(name: string, repositoryId: string): Promise<void> {
    const { db } = catalog
    const served = 'select from distribution where repository_id = $1 and id = $2'
    if ((await db.query(served, [repositoryId, this.distributionId])).length > 0) return
    await this.#settle(repositoryId)
    await db.query('delete from distribution where repository_id = $1', [repositoryId])
    await db.query('delete from repository where id = $1', [repositoryId])
    await pushManifest(db, name, { name: `${name} again` }, ['b'])
    expect(await tagHistory(db, { repositoryId: await idOf(db, name), tag: 'a', before: undefined, rows: 9 })).toEqual(
      [],
    )
  }

  async look(): Promise<void> {
    const { db } = catalog
    const seen: Seen['tags'] = []
    for (const name of this.names)
      seen.push({ repositoryId: await idOf(db, name), digests: (await contentOf(db, name)).tags })
    const [row] = await db.query<{ repositoryId: string; name: string; version: number | null; latest: number }>(
      `select repository_id as "repositoryId", repository.name, version, latest_version as latest
       from distribution
       join repository on repository.id = repository_id
       where distribution.id = $1`,
      [this.distributionId],
    )
    if (!row) throw new Error('the distribution is gone')
    const digests = (await contentOf(db, row.name, row.version ?? row.latest)).tags
    const [now] = await db.query<{ time: string }>('select clock_timestamp()::text as time')
    const served = { repositoryId: row.repositoryId, version: row.version ?? row.latest, digests }
    this.seen.push({ time: now?.time ?? '', tags: seen, served })
  }
}

async function orAbsent<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return undefined
    throw error
  }
}

const pageRows = 3

/** All of a list, page by page. */
async function readAll<T>(
  page: (after: string | undefined) => Promise<T[]>,
  placeOf: (one: T) => string,
): Promise<T[]> {
  const all: T[] = []
  for (;;) {
    const last = all.at(-1)
    const rows = await page(last === undefined ? undefined : placeOf(last))
    all.push(...rows)
    if (rows.length < pageRows) return all
  }
}

const covering = <T extends { from: string; to: string | null }>(entries: readonly T[], exact: string) =>
  entries.filter(({ from, to }) => from <= exact && (to === null || exact < to))

async function exactly(time: string): Promise<string> {
  const [row] = await catalog.db.query<{ exact: string }>(
    `select to_char($1::timestamptz at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as exact`,
    [time],
  )
  return row?.exact ?? ''
}

async function expectRemembered(quay: Quay): Promise<void> {
  const { db } = catalog
  const present = quay.seen.at(-1)?.tags.map(({ repositoryId }) => repositoryId) ?? []
  const histories = new Map<string, TagEntry[]>()
  for (const repositoryId of present)
    for (const tag of tags)
      histories.set(
        `${repositoryId} ${tag}`,
        await readAll(
          (after) =>
            tagHistory(db, {
              repositoryId,
              tag,
              before: after === undefined ? undefined : Number(after),
              rows: pageRows,
            }),
          ({ version }) => String(version),
        ),
      )
  const { distributionId } = quay
  const history = await readAll(
    (after) => distributionHistory(db, { distributionId, after, rows: pageRows, rights }),
    placeOf,
  )
  expect(history.map(({ from }) => from)).toEqual(history.map(({ from }) => from).sort((a, b) => (a < b ? 1 : -1)))
  for (const { time, tags: seen, served } of quay.seen) {
    const exact = await exactly(time)
    for (const { repositoryId, digests } of seen.filter((one) => present.includes(one.repositoryId)))
      for (const tag of tags) {
        const entry = await orAbsent(tagAt(db, { repositoryId, tag, time }))
        expect([time, tag, entry?.digest]).toEqual([time, tag, digests[tag]])
        const listed = histories.get(`${repositoryId} ${tag}`) ?? []
        expect(covering(listed, exact)).toEqual(entry ? [entry] : [])
      }
    const distribution = { id: distributionId, name: 'prod' }
    const { repositoryId, version } = served
    for (const tag of tags) {
      const at = await orAbsent(distributionAt(db, { distribution, time, tag, rights }))
      expect([time, tag, at?.digest]).toEqual([time, tag, served.digests[tag]])
    }
    const at = await distributionAt(db, { distribution, time, tag: undefined, rights })
    expect(at).toMatchObject({ repositoryId, version })
    expect(covering(history, exact)).toEqual([expect.objectContaining(at)])
  }
}

test('what is told of a time is what was served then, over any sequence of changes, and lists have each time once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 25, maxLength: 45 }), async (steps) => {
      const quay = new Quay()
      await quay.open()
      for (const one of steps) await quay.apply(one)
      await expectRemembered(quay)
    }),
    { numRuns: runs, seed, endOnFailure: true },
  )
  expect(gone).toBeGreaterThan(0)
}, 600_000)
