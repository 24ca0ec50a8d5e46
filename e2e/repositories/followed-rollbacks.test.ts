import { adminRights } from '@berth/access'
import { type CatalogCommands, commandsOf } from '@berth/commands'
import {
  applyMigrations,
  closeServer,
  createInternalClient,
  createInternalServer,
  createLogger,
  createMetrics,
  type Database,
  type InternalClient,
  listen,
  openDatabase,
  rows,
} from '@berth/service'
import { privateKeyOf, publicKeys } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { streamHeads, streamRows } from '../../services/catalog/src/served/rows.ts'
import {
  type Catalog,
  contentOf,
  idOf,
  pushBlob,
  pushManifest,
  startCatalog,
} from '../../services/catalog/src/testing/catalog.fixture.ts'
import { deleteVersion } from '../../services/catalog/src/versions/drop-versions.ts'
import { rollBack } from '../../services/catalog/src/versions/rollback.ts'
import { letGo, writeOutRollback } from '../../services/catalog/src/versions/rollback-writer.ts'
import { schemaParts } from '../../services/registry/src/db/schema-parts.ts'
import { createFollower, type Follower } from '../../services/registry/src/model/follow.ts'
import { createIsolation } from '../../services/registry/src/model/isolation.ts'
import { isServedSomewhere, listTags } from '../../services/registry/src/model/lists.ts'
import { createLookup } from '../../services/registry/src/model/lookup.ts'
import { createPointerReader } from '../../services/registry/src/model/pointer.ts'
import { pruneModel } from '../../services/registry/src/model/prune.ts'

const everything = { rights: adminRights(''), names: [], isSure: true }

const scale = Number(process.env.BERTH_TEST_RUNS ?? 1)
const seed = Number(process.env.BERTH_TEST_SEED ?? 20_261_123)
const runs = 12 * scale

// The truth of catalog and registry's model of it, told over HTTP as between the two services.
let catalog: Catalog
let model: Database
let client: InternalClient
let follower: Follower
let stopServer: () => Promise<void>

beforeAll(async () => {
  catalog = await startCatalog()
  const place = { url: catalog.url, schema: 'registry' }
  await applyMigrations({ ...place, parts: schemaParts })
  model = openDatabase({ ...place, max: 8 })
  const log = createLogger({ service: 'registry', silent: true })
  const commands = {
    'list-served-heads': async () => rows(streamHeads(catalog.db)),
    'list-served-rows': async ({ repositoryId, afterRevision }: { repositoryId: string; afterRevision: number }) =>
      rows(streamRows(catalog.db, repositoryId, afterRevision)),
  }
  const internal = createInternalServer({ service: 'catalog', publicKeys, log, commands })
  const { server, port } = await listen(internal, { host: '127.0.0.1', port: 0 })
  stopServer = () => closeServer(server, 0)
  client = createInternalClient({
    baseUrl: `http://127.0.0.1:${port}`,
    from: 'registry',
    to: 'catalog',
    privateKey: privateKeyOf('registry'),
  })
  const isolation = createIsolation({ db: model, log, metrics: createMetrics() })
  follower = createFollower({ db: model, catalog: commandsOf<CatalogCommands>(client), isolation, log })
})
afterAll(async () => {
  await client?.close()
  await stopServer?.()
  await model?.close()
  await catalog?.stop()
})

type Digest = Awaited<ReturnType<typeof pushBlob>>
type Step = { kind: number; a: number; b: number; c: number }
const step: fc.Arbitrary<Step> = fc.record({ kind: fc.nat(99), a: fc.nat(999), b: fc.nat(999), c: fc.nat(999) })
type Content = { tags: Map<string, Digest>; manifests: Map<Digest, readonly Digest[]> }

const copyOf = ({ tags, manifests }: Content): Content => ({ tags: new Map(tags), manifests: new Map(manifests) })
const textOf = ({ tags, manifests }: Content) =>
  JSON.stringify([[...tags].map((tag) => tag.join()).sort(), [...manifests.keys()].sort()])

/** A repository beside what it must hold, version by version, and with what is loose. */
class Subject {
  static #made = 0
  static unsettled = 0
  readonly name = `followed/${Subject.#made++}`
  readonly versions: Content[] = [{ tags: new Map(), manifests: new Map() }]
  now: Content = copyOf(this.versions[0] as Content)
  isLoose = false
  #pushed = 0

  async push({ a, b, c }: Step): Promise<void> {
    const { db } = catalog
    const blobs = await Promise.all(
      [...new Set([a % 5, b % 5])].map((n) => pushBlob(db, this.name, `${this.name} ${n}`)),
    )
    const tags = c % 4 === 0 ? [] : [...new Set([a % 6, c % 6])].map((n) => `t${n}`)
    const digest = await pushManifest(db, this.name, { name: `${this.name} ${this.#pushed++}`, blobs }, tags)
    this.now = copyOf(this.now)
    this.now.manifests.set(digest, blobs)
    for (const tag of tags) this.now.tags.set(tag, digest)
    this.isLoose = tags.length === 0
    if (!this.isLoose) this.versions.push(this.now)
  }

  async rollBack(id: string, { a, c }: Step): Promise<void> {
    const left = await this.numbers(id)
    const version = left[a % left.length] as number
    const made = await rollBack(
      catalog.db,
      { repositoryId: id, version, actor: { id: null, name: 'ana' } },
      c % 4 > 0 ? 0 : undefined,
    )
    if (this.isLoose) this.versions.push(this.now)
    this.isLoose = false
    const wanted = this.versions[version] as Content
    expect(made.created).toBe(textOf(wanted) !== textOf(this.now))
    if (made.created) this.versions.push(wanted)
    this.now = wanted
    if (!made.isWrittenOut) Subject.unsettled++
  }

  async numbers(id: string): Promise<number[]> {
    const found = await catalog.db.query<{ number: number }>(
      'select number from version where repository_id = $1 order by number',
      [id],
    )
    return found.map(({ number }) => number)
  }

  /** What is served is what there is, and every version holds what it did. */
  async check(id: string): Promise<void> {
    const pointer = await createPointerReader(model, async () => {})(this.name)
    if (!pointer) throw new Error(`${this.name} is not served`)
    const lookup = createLookup(model)
    expect(await listTags(model, pointer, '', 100)).toEqual([...this.now.tags.keys()].sort())
    for (const [tag, digest] of this.now.tags) expect((await lookup.tag(pointer, tag))?.digest).toBe(digest)
    const ever = this.versions.flatMap(({ manifests }) => [...manifests])
    for (const [digest, blobs] of ever) {
      expect((await lookup.manifest(pointer, digest)) !== undefined).toBe(this.now.manifests.has(digest))
      for (const blob of this.now.manifests.has(digest) ? blobs : []) {
        expect(await lookup.blob(pointer, blob)).toBeDefined()
        expect(await lookup.blobAt(this.name, blob)).toBeDefined()
        expect(await isServedSomewhere(model, blob, everything)).toBe(true)
      }
    }
    for (const number of await this.numbers(id)) {
      const held = await contentOf(catalog.db, this.name, number)
      const ideal = this.versions[number] as Content
      expect(held.tags).toEqual(Object.fromEntries(ideal.tags))
      expect(held.manifests).toEqual([...ideal.manifests.keys()].sort())
      expect(held.blobs).toEqual([...new Set([...ideal.manifests.values()].flat())].sort())
    }
  }
}

async function apply(subject: Subject, one: Step): Promise<void> {
  const { db } = catalog
  const { kind, a, b } = one
  if (kind < 35) return subject.push(one)
  const id = await idOf(db, subject.name)
  if (kind < 65) return subject.rollBack(id, one)
  if (kind < 75) {
    // Links go when no manifest came for them: then blobs are served by their manifests alone.
    await db.query(
      'update blob_link set linked = false, revision = (select revision + 1 from repository where id = $1) where repository_id = $1',
      [id],
    )
    await db.query('update repository set revision = revision + 1 where id = $1', [id])
  } else if (kind < 85) {
    await writeOutRollback(db, id)
    if (b % 2 === 0) await letGo(db, id, async () => {})
  } else if (kind < 92) {
    await db.query('update repository set retain_versions = $2 where id = $1', [id, a % 2 === 0 ? null : 1 + (b % 3)])
  } else {
    const old = (await subject.numbers(id)).slice(0, -1)
    const number = old[a % Math.max(1, old.length)]
    if (number !== undefined) await deleteVersion(db, { repositoryId: id, number, actor: { id: null, name: 'ana' } })
  }
}

test(
  'whatever is pushed, rolled back, settled and deleted: registry serves it whenever it follows, and whatever it missed',
  async () => {
    const property = fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 35 }), async (steps) => {
      const subject = new Subject()
      await subject.push({ kind: 0, a: 1, b: 1, c: 1 })
      const id = await idOf(catalog.db, subject.name)
      for (const one of steps) {
        await apply(subject, one)
        // Now and then only, so that it sometimes misses a rollback, its settling, or both.
        if (one.c % 3 === 0) continue
        const { revision } = (
          await catalog.db.query<{ revision: number }>('select revision from repository where id = $1', [id])
        )[0] ?? { revision: 0 }
        if (one.c % 7 === 0) await model.query('delete from served_tag where repository_id = $1', [id])
        if (one.c % 7 === 0) await model.query('update served_repository set revision = 0 where id = $1', [id])
        await follower.follow(id, revision)
        if (one.b % 5 === 0) await pruneModel(model)
        await subject.check(id)
      }
    })
    await fc.assert(property, { seed, numRuns: runs, endOnFailure: true })
    expect(Subject.unsettled).toBeGreaterThan(runs)
  },
  120_000 * scale,
)
