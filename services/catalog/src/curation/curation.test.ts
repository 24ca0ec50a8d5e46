import { adminRights } from '@berth/access'
import type { Digest } from '@berth/oci'
import { Problem } from '@berth/service'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { putSignature } from '../pushes/put-signature.ts'
import { ensureRepository } from '../repositories/ensure.ts'
import {
  type Catalog,
  contentOf,
  digestOf,
  idOf,
  newCall,
  pushBlob,
  pushManifest,
  startCatalog,
} from '../testing/catalog.fixture.ts'
import { type Content, copyOf, Model, Refused } from '../testing/model.fixture.ts'
import { deleteVersion } from '../versions/drop-versions.ts'
import { rollBack } from '../versions/rollback.ts'
import { writeOutRollback } from '../versions/rollback-writer.ts'
import { type Curation, curate, planCuration } from './curate.ts'
import { copyWork, type ModifyBody, modifyWork, type Work } from './requests.ts'

// A share of what `BERTH_TEST_RUNS=30` does by hand: ten thousand operations and more.
const scale = Number(process.env.BERTH_TEST_RUNS ?? 1)
const seed = Number(process.env.BERTH_TEST_SEED ?? 20_261_122)
const operationsPerRun = 30
const runs = 14 * scale

let catalog: Catalog
let unsettled = 0
beforeAll(async () => {
  catalog = await startCatalog()
})
afterAll(() => catalog.stop())

type Operation = { kind: number; a: number; b: number; c: number; flag: boolean }
const operation: fc.Arbitrary<Operation> = fc.record({
  kind: fc.nat(99),
  a: fc.nat(1_000),
  b: fc.nat(1_000),
  c: fc.nat(1_000),
  flag: fc.boolean(),
})

function pick<T>(list: readonly T[], n: number): T | undefined {
  return list.length === 0 ? undefined : list[n % list.length]
}

function textOf({ tags, manifests }: Content): string {
  return [...[...tags].map(([name, digest]) => `${name}=${digest}`).sort(), ...[...manifests].sort()].join()
}

/** Two repositories, each with the model of all its versions. */
class Pair {
  static #made = 0
  readonly model = new Model()
  readonly names: [string, string]
  readonly contents = new Map<string, Content[]>()
  #pushed = 0

  constructor() {
    const run = Pair.#made++
    this.names = [`model/${run}-a`, `model/${run}-b`]
    for (const name of this.names) this.contents.set(name, [{ tags: new Map(), manifests: new Set() }])
  }

  versions(name: string): Content[] {
    return this.contents.get(name) ?? []
  }

  latest(name: string): Content {
    return this.versions(name).at(-1) as Content
  }

  async push(name: string, { a, b, c, flag }: Operation): Promise<void> {
    const { db } = catalog
    const next = copyOf(this.latest(name))
    const blobs = [...new Set([a % 7, b % 7])].map((i) => `blob ${name} ${i}`)
    const digests = await Promise.all(blobs.map((blob) => pushBlob(db, name, blob)))
    const members = [...next.manifests]
    const children = flag ? [...new Set([pick(members, a), pick(members, b)])].filter((one) => one !== undefined) : []
    const subject = c % 3 === 0 ? pick(members, c) : undefined
    const owner = pick(members, b)
    const tags = [`t${c % 5}`, ...(owner && a % 5 === 0 ? [`${owner.replace(':', '-')}.sig`] : [])]
    const graph = {
      name: `${name} ${this.#pushed++}`,
      blobs: children.length > 0 ? [] : digests,
      children,
      ...(subject ? { subject } : {}),
    }
    const digest = await pushManifest(db, name, graph, tags)
    this.model.known.set(digest, { blobs: graph.blobs, children, ...(subject ? { subject } : {}) })
    next.manifests.add(digest)
    for (const tag of tags) next.tags.set(tag, digest)
    this.versions(name).push(next)
  }

  /** Carries the same change out on both sides: either both refuse it, or both end with the same content. */
  async change(name: string, real: () => Promise<unknown>, ideal: (content: Content) => void): Promise<void> {
    const next = copyOf(this.latest(name))
    const before = textOf(next)
    let expected: unknown
    try {
      ideal(next)
    } catch (error) {
      expected = error
    }
    const outcome = await real().then(
      () => undefined,
      (error: unknown) => error,
    )
    if (expected) {
      expect(expected).toBeInstanceOf(Refused)
      expect(outcome).toBeInstanceOf(Problem)
      return
    }
    if (outcome) throw outcome
    if (textOf(next) !== before) this.versions(name).push(next)
  }

  async compare(): Promise<void> {
    for (const name of this.names) {
      const versions = this.versions(name)
      const checked = new Set([versions.length - 1, Math.floor(versions.length / 2)])
      for (const number of checked) {
        const ideal = versions[number] as Content
        expect(this.model.faultsOf(ideal)).toEqual([])
        expect(await contentOf(catalog.db, name, number)).toEqual({
          tags: Object.fromEntries(ideal.tags),
          manifests: [...ideal.manifests].sort(),
          blobs: [...this.model.blobsOf(ideal)].sort(),
        })
      }
      const [head] = await catalog.db.query('select latest_version from repository where name = $1', [name])
      expect(head).toEqual({ latest_version: versions.length - 1 })
    }
  }
}

async function edit(name: string, cause: Curation['cause'], work: Work, foldsFirst = false): Promise<void> {
  const repositoryId = await idOf(catalog.db, name)
  await curate(catalog.db, { repositoryId, actor: { id: null, name: 'ana' }, cause, foldsFirst }, work)
}
async function modify(name: string, body: ModifyBody): Promise<void> {
  const { work, cause, foldsFirst } = modifyWork(body, adminRights(''))
  await edit(name, cause, work, foldsFirst)
}

async function apply(pair: Pair, step: Operation): Promise<void> {
  const { kind, a, b, c, flag } = step
  const name = pair.names[a % 2] as string
  const other = pair.names[(a + 1) % 2] as string
  const from = { repository: other, version: b % pair.versions(other).length }
  const source = pair.versions(other)[from.version] as Content
  const here = pair.latest(name)
  const { model } = pair
  if (kind < 35) return pair.push(name, step)
  if (kind < 50) {
    const digest = pick([...source.manifests], c) ?? digestOf('nothing')
    const tag = pick([...source.tags.keys()], b)
    const add = [{ digest }, ...(tag === undefined ? [] : [{ tag }])]
    return pair.change(
      name,
      () => modify(name, { from, add, companions: flag }),
      (content) => model.put(content, source, { manifests: [digest], tags: tag === undefined ? [] : [tag] }, flag),
    )
  }
  if (kind < 75) {
    const digest = pick([...here.manifests], b) ?? digestOf('nothing')
    const tag = c % 2 === 0 ? pick([...here.tags.keys()], c) : undefined
    const unwanted = { manifests: c % 4 === 0 ? [] : [digest], tags: tag === undefined ? [] : [tag] }
    const remove = [
      ...unwanted.manifests.map((one) => ({ digest: one })),
      ...unwanted.tags.map((one) => ({ tag: one })),
    ]
    return pair.change(
      name,
      () => modify(name, { remove, force: flag }),
      (content) => model.remove(content, unwanted, flag),
    )
  }
  if (kind < 85) {
    const tags = ['t*', 'sha256-*'].slice(0, 1 + (c % 2))
    return pair.change(
      name,
      () => edit(name, 'copy', copyWork({ from, tags, companions: flag })),
      (content) => {
        const chosen = [...source.tags.keys()].filter((tag) => tag.startsWith('t') || tags.length > 1)
        model.put(content, source, { manifests: [], tags: chosen }, flag)
      },
    )
  }
  const repositoryId = await idOf(catalog.db, name)
  if (kind < 95) {
    const version = b % pair.versions(name).length
    const old = pair.versions(name)[version] as Content
    return pair.change(
      name,
      async () => {
        // As one of very much is: served before it is written, which somebody does later, or whoever comes next.
        const made = await rollBack(
          catalog.db,
          { repositoryId, version, actor: { id: null, name: 'ana' } },
          c % 3 > 0 ? 0 : undefined,
        )
        unsettled += made.isWrittenOut ? 0 : 1
        if (flag) await writeOutRollback(catalog.db, repositoryId)
      },
      (content) => {
        content.tags = new Map(old.tags)
        content.manifests = new Set(old.manifests)
      },
    )
  }
  return pair.change(
    name,
    () => modify(name, { remove: ['*'] }),
    (content) => {
      content.tags.clear()
      content.manifests.clear()
    },
  )
}

test(
  'whatever is done in whatever order, every version holds what the rules say',
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(operation, { minLength: operationsPerRun, maxLength: operationsPerRun }),
        async (steps) => {
          const pair = new Pair()
          for (const repository of pair.names)
            await catalog.db.transaction((sql) =>
              ensureRepository(sql, { repository, mayCreate: true, actor: { id: null, name: 'ana' } }),
            )
          for (const step of steps) {
            await apply(pair, step)
            await pair.compare()
          }
        },
      ),
      { numRuns: runs, seed, endOnFailure: true },
    )
    expect(unsettled).toBeGreaterThan(runs)
  },
  60_000 * scale,
)

async function newPair(): Promise<{ name: string; repositoryId: string; image: Digest; index: Digest }> {
  const name = `curated/${Math.random().toString(36).slice(2)}`
  const blob = await pushBlob(catalog.db, name, `blob of ${name}`)
  const image = await pushManifest(catalog.db, name, { name, blobs: [blob] }, ['image'])
  const index = await pushManifest(catalog.db, name, { name, children: [image] }, ['index'])
  return { name, repositoryId: await idOf(catalog.db, name), image, index }
}

test('a plan says what would change, and changes nothing', async () => {
  const { name, repositoryId, image, index } = await newPair()
  const before = await contentOf(catalog.db, name)
  const { work, cause } = modifyWork({ remove: [{ digest: image }], force: true }, adminRights(''))
  const plan = await planCuration(catalog.db, { repositoryId, actor: { id: null, name: 'ana' }, cause }, work)
  expect(plan).toMatchObject({
    from: 2,
    to: 3,
    tags: [
      { tag: 'image', from: image },
      { tag: 'index', from: index },
    ],
    manifests: { added: [], removed: [image, index].sort() },
    bytes: { added: 0, removed: 120 },
    complete: true,
  })
  expect(await contentOf(catalog.db, name)).toEqual(before)
})

test('signatures come along with what is copied, and go with it', async () => {
  const { name, image } = await newPair()
  const target = await newPair()
  const signature = { name: `${image}@${'0'.repeat(32)}`, digest: image, content: 'c2lnbmVk' }
  await putSignature(catalog.db, { repository: name, actor: { id: null, name: 'ana' }, signature }, newCall())
  const open = async () =>
    catalog.db.query('select name, content from signature_interval where repository_id = $1 and until is null', [
      target.repositoryId,
    ])
  const from = { repository: name }
  await edit(target.name, 'copy', copyWork({ from, tags: ['image'], companions: false }))
  expect(await open()).toEqual([])
  await edit(target.name, 'copy', copyWork({ from, tags: ['image'] }))
  expect(await open()).toEqual([{ name: signature.name, content: signature.content }])
  await modify(target.name, { remove: [{ digest: image }], force: true })
  expect(await open()).toEqual([])
})

test('what something else holds is refused, and the refusal names the holders', async () => {
  const { name, image, index } = await newPair()
  await expect(modify(name, { remove: [{ digest: image }] })).rejects.toMatchObject({
    status: 409,
    code: 'manifest_held',
    options: { more: { holders: expect.arrayContaining(['image', index]) } },
  })
})

test('a change on a base that is no longer the latest is refused with the latest, and nothing changes', async () => {
  const { name, repositoryId, image } = await newPair()
  const { work, cause } = modifyWork({ remove: [{ digest: image }], force: true }, adminRights(''))
  const curation = { repositoryId, actor: { id: null, name: 'ana' }, cause, baseVersion: 1 }
  await expect(curate(catalog.db, curation, work)).rejects.toMatchObject({
    status: 409,
    code: 'stale_base',
    options: { field: 'baseVersion', more: { latestVersion: 2 } },
  })
  expect((await contentOf(catalog.db, name)).manifests).toHaveLength(2)
})

test('what one change takes out and puts in again has not changed', async () => {
  const { name, index } = await newPair()
  const before = await contentOf(catalog.db, name)
  const from = { repository: name, version: 2 }
  await modify(name, {
    remove: [{ digest: index }],
    force: true,
    add: [
      { tag: 'index', from },
      { tag: 'image', from },
    ],
  })
  const [head] = await catalog.db.query('select latest_version from repository where name = $1', [name])
  expect(head).toEqual({ latest_version: 2 })
  expect(await contentOf(catalog.db, name)).toEqual(before)
  await pushManifest(catalog.db, name, { name: `${name} later` }, ['later'])
  const [version] = await catalog.db.query<{ added: unknown; removed: unknown }>(
    'select added, removed from version join repository on id = repository_id where name = $1 and number = 3',
    [name],
  )
  expect(version).toMatchObject({ added: { tags: 1, manifests: 1, blobs: 0 }, removed: { tags: 0, manifests: 0 } })
})

test('a copy is whole, however its source changes meanwhile', async () => {
  const source = await newPair()
  const from = { repository: source.name }
  const targets = await Promise.all(Array.from({ length: 12 }, () => newPair()))
  const changing = (async () => {
    for (let i = 0; i < 12; i++) {
      await modify(source.name, { remove: ['*'] })
      const blobs = [await pushBlob(catalog.db, source.name, `blob ${i} of ${source.name}`)]
      const image = await pushManifest(catalog.db, source.name, { name: `image ${i} of ${source.name}`, blobs }, [
        'image',
      ])
      await pushManifest(catalog.db, source.name, { name: `index ${i} of ${source.name}`, children: [image] }, [
        'index',
      ])
    }
  })()
  for (const { name } of targets)
    await edit(name, 'copy', copyWork({ from, tags: ['i*'] })).catch((error: Problem) =>
      expect(error).toMatchObject({ status: 404 }),
    )
  await changing
  const broken = await catalog.db.query(
    `select member.repository_id from manifest_interval as member join manifest_reference as reference on reference.manifest = member.digest
     where member.until is null and member.repository_id = any($1::uuid[])
       and not exists (select from blob_interval as blob where blob.repository_id = member.repository_id and blob.digest = reference.child and blob.until is null)
       and not exists (select from manifest_interval as child where child.repository_id = member.repository_id and child.digest = reference.child and child.until is null)
     union all
     select tag.repository_id from tag_interval as tag where tag.until is null and tag.repository_id = any($1::uuid[])
       and not exists (select from manifest_interval as member where member.repository_id = tag.repository_id and member.digest = tag.digest and member.until is null)`,
    [targets.map((target) => target.repositoryId)],
  )
  expect(broken).toEqual([])
})

test('names that a source does not have are listed, all of them, and nothing changes', async () => {
  const { name } = await newPair()
  const target = await newPair()
  const unknown = digestOf('unknown')
  await expect(
    edit(
      target.name,
      'copy',
      copyWork({ from: { repository: name }, tags: ['image', 'nope', 'n*'], digests: [unknown] }),
    ),
  ).rejects.toMatchObject({
    status: 404,
    message: `${name} has no tag "nope", manifest ${unknown}.`,
    options: { more: { missing: ['nope', unknown] } },
  })
  await expect(modify(target.name, { remove: [{ tag: 'none' }] })).rejects.toMatchObject({
    status: 404,
    message: 'The repository has no tag "none".',
    options: { more: { missing: ['none'] } },
  })
  expect(Object.keys((await contentOf(catalog.db, target.name)).tags)).toEqual(['image', 'index'])
})

test('a deleted version takes nothing from the others, and its number does not come back', async () => {
  const { name, repositoryId, image } = await newPair()
  await modify(name, { remove: ['*'] })
  const [first, last] = [await contentOf(catalog.db, name, 1), await contentOf(catalog.db, name, 3)]
  await deleteVersion(catalog.db, { repositoryId, number: 2, actor: { id: null, name: 'ana' } })
  expect([await contentOf(catalog.db, name, 1), await contentOf(catalog.db, name, 3)]).toEqual([first, last])
  // The index was in version 2 alone: nothing keeps it any more.
  const kept = await catalog.db.query<{ digest: Digest }>(
    'select digest from manifest_interval where repository_id = $1 and (until is null or until > since)',
    [repositoryId],
  )
  expect(kept.map((row) => row.digest)).toEqual([image])
  await pushManifest(catalog.db, name, { name: `${name} again` }, ['again'])
  const numbers = await catalog.db.query('select number from version where repository_id = $1 order by number', [
    repositoryId,
  ])
  expect(numbers).toEqual([{ number: 0 }, { number: 1 }, { number: 3 }, { number: 4 }])
})

test('the latest version, and one that a distribution pins, are not deleted', async () => {
  const { name, repositoryId } = await newPair()
  await expect(
    deleteVersion(catalog.db, { repositoryId, number: 2, actor: { id: null, name: 'ana' } }),
  ).rejects.toMatchObject({
    status: 409,
    code: 'version_latest',
  })
  await catalog.db.query('update distribution set version = 1 where repository_id = $1', [repositoryId])
  await expect(
    deleteVersion(catalog.db, { repositoryId, number: 1, actor: { id: null, name: 'ana' } }),
  ).rejects.toMatchObject({
    code: 'version_pinned',
    options: { more: { distributions: [name] } },
  })
})

test('only the newest versions stay where a repository says how many, and what a distribution pins', async () => {
  const { name, repositoryId } = await newPair()
  await catalog.db.query('update distribution set version = 1 where repository_id = $1', [repositoryId])
  await catalog.db.query('update repository set retain_versions = 2 where id = $1', [repositoryId])
  for (let i = 0; i < 5; i++) await pushManifest(catalog.db, name, { name: `${name} ${i}` }, ['moving'])
  const numbers = await catalog.db.query<{ number: number }>(
    'select number from version where repository_id = $1 order by number',
    [repositoryId],
  )
  expect(numbers.map((row) => row.number)).toEqual([1, 6, 7])
})
