import type { Digest } from '@berth/oci'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { keepBlob } from '../leases/leases.ts'
import { deleteReference } from '../pushes/delete-reference.ts'
import { digestOf, idOf, newCall } from '../testing/catalog.fixture.ts'
import {
  endLeases,
  push,
  pushImage,
  runCollector,
  startYard,
  stateOf,
  storedDigests,
  type Yard,
} from '../testing/collect.fixture.ts'
import { rollBack } from '../versions/rollback.ts'
import { letGo, writeOutRollback } from '../versions/rollback-writer.ts'

// `BERTH_TEST_RUNS=20` does thousands of operations more.
const runs = 12 * Number(process.env.BERTH_TEST_RUNS ?? 1)
const seed = Number(process.env.BERTH_TEST_SEED ?? 20_261_122)

let yard: Yard
beforeAll(async () => {
  yard = await startYard()
})
afterAll(() => yard?.stop())

type Step = { kind: number; a: number; b: number; c: number }
const step: fc.Arbitrary<Step> = fc.record({ kind: fc.nat(99), a: fc.nat(999), b: fc.nat(999), c: fc.nat(999) })
const places = ['unlinked', 'judged', 'marked', 'removed'] as const
type Image = { digest: Digest; blobs: Digest[]; children: Digest[] }

function pick<T>(list: readonly T[], n: number): T | undefined {
  return list[n % Math.max(1, list.length)]
}

let wentBack = 0

/** Repositories that keep one version, beside a model of what they hold. */
class Harbour {
  static #made = 0
  readonly names: string[]
  readonly held = new Map<string, Map<Digest, Image>>()
  readonly #prefix = `harbour-${Harbour.#made++}`
  #pushed = 0
  #collecting: Promise<unknown> = Promise.resolve()

  constructor() {
    this.names = [0, 1].map((i) => `${this.#prefix}/${i}`)
    for (const name of this.names) this.held.set(name, new Map())
  }

  #images(name: string): Map<Digest, Image> {
    return this.held.get(name) as Map<Digest, Image>
  }

  async apply({ kind, a, b, c }: Step): Promise<void> {
    const name = this.names[a % 2] as string
    if (kind < 45) return this.#push(name, a, b, c)
    if (kind < 55) return this.#delete(name, b)
    if (kind < 65) return this.#deleteAndGoBack(name, b, c)
    await this.#collecting
    // Only between two operations: none of them is told of a lease that ends before its own end.
    if (kind % 4 > 0) await endLeases(yard)
    this.#collecting = this.#collect(pick(places, b), c)
    if (kind < 82) await this.#collecting
  }

  /** A run of the collector that may be killed, and beside which the next operations go on. */
  async #collect(place: string | undefined, c: number): Promise<void> {
    let passed = 0
    const killed = new Error('killed')
    const run = runCollector(yard, {
      thorough: c % 3 === 0,
      passing: async (at) => {
        if (c % 2 === 0 && at === place && ++passed > c % 3) throw killed
      },
    })
    await run.catch((error: unknown) => {
      if (error !== killed) throw error
    })
    // As a minute does.
    await yard.db.query("update blob set marked_at = now() - interval '2 minutes' where state = 'removing'")
  }

  /** What a client does: asks for each blob, uploads what is not there, and pushes the manifest. */
  async #push(name: string, a: number, b: number, c: number): Promise<void> {
    const texts = [...new Set([a % 6, b % 6])].map((i) => `${this.#prefix} layer ${i}`)
    const blobs: Digest[] = []
    for (const text of texts) blobs.push(await this.#bring(name, text))
    const members = [...this.#images(name).keys()]
    const children = c % 3 === 0 ? [pick(members, b)].filter((one) => one !== undefined) : []
    const image = { name: `${this.#prefix} ${this.#pushed++}`, blobs, children }
    const tags = c % 4 === 0 ? [] : [`t${b % 4}`]
    const digest = await pushImage(yard, name, image, tags)
    await yard.db.query('update repository set retain_versions = 1 where name = $1', [name])
    this.#images(name).set(digest, { digest, blobs, children })
  }

  async #bring(name: string, text: string): Promise<Digest> {
    const digest = digestOf(text)
    const kept = await keepBlob(yard.db, { repository: name, holder: `push:${name}`, digest, ttlSeconds: 60 })
    return kept ? digest : push(yard, name, text)
  }

  async #delete(name: string, b: number): Promise<void> {
    const image = this.#free(name, b)
    if (!image) return
    await deleteReference(
      yard.db,
      { repository: name, actor: { id: null, name: 'ana' }, digest: image.digest },
      newCall(),
    )
    this.#images(name).delete(image.digest)
  }

  /** A manifest that no other names. */
  #free(name: string, b: number): Image | undefined {
    const images = [...this.#images(name).values()]
    return pick(
      images.filter(({ digest }) => !images.some((other) => other.children.includes(digest))),
      b,
    )
  }

  /** Changes nothing in the end; until it is settled what is there stays by the version before alone. */
  async #deleteAndGoBack(name: string, b: number, c: number): Promise<void> {
    const image = this.#free(name, b)
    if (!image) return
    const { db } = yard
    const repositoryId = await idOf(db, name)
    const retain = (versions: number | null) =>
      db.query('update repository set retain_versions = $2 where id = $1', [repositoryId, versions])
    await retain(null)
    const { version } = await deleteReference(
      db,
      { repository: name, actor: { id: null, name: 'ana' }, digest: image.digest },
      newCall(),
    )
    const back = await rollBack(db, { repositoryId, version: version - 1, actor: { id: null, name: 'ana' } }, 0)
    expect(back.isWrittenOut).toBe(false)
    wentBack++
    await retain(1)
    if (c % 3 === 0) await writeOutRollback(db, repositoryId)
  }

  /** What the repositories hold is stored and readable; everything else of theirs is gone once nothing needs it. */
  async check(): Promise<void> {
    await this.#collecting
    // What a rollback left of older versions goes with the next change, or with this.
    for (const name of this.names) {
      const [known] = await yard.db.query<{ id: string }>('select id from repository where name = $1', [name])
      if (known) await letGo(yard.db, known.id, async () => {})
      if (known) await letGo(yard.db, known.id, async () => {})
    }
    const wanted = new Set(
      [...this.held.values()].flatMap((images) =>
        [...images.values()].flatMap((image) => [image.digest, ...image.blobs]),
      ),
    )
    for (const digest of wanted) {
      const row = await stateOf(yard, digest)
      expect(row).toMatchObject({ state: 'present' })
      expect(await yard.blobs.stat({ digest, generation: row?.generation ?? 0 })).toBeDefined()
    }
    await endLeases(yard)
    await yard.blobs.compared()
    await runCollector(yard, { thorough: true, orphanSeconds: 0 })
    await runCollector(yard, { thorough: true, orphanSeconds: 0 })
    expect(await storedDigests(yard)).toEqual([...wanted].sort())
  }
}

/** Everything away, whatever a run that failed has left. */
async function clear(): Promise<void> {
  await yard.db.query('truncate repository, blob, tag_interval, distribution, forgotten_trace cascade')
  for await (const key of yard.blobs.walk()) await yard.blobs.remove(key)
}

test('whatever is pushed, deleted, collected and killed in whatever order: what is held stays whole, all else goes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (steps) => {
      const harbour = new Harbour()
      try {
        for (const one of steps) await harbour.apply(one)
        await harbour.check()
      } finally {
        await clear()
      }
    }),
    { seed, numRuns: runs, endOnFailure: false, interruptAfterTimeLimit: 240_000, markInterruptAsFailure: true },
  )
  expect(wentBack).toBeGreaterThan(runs / 2)
}, 300_000)
