import { randomUUID } from 'node:crypto'
import {
  type CatalogCommands,
  commandsOf,
  type ServedDistribution,
  type ServedHead,
  type ServedRow,
} from '@berth/commands'
import type { Digest } from '@berth/oci'
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
import { makeDatabase, privateKeyOf, publicKeys, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { schemaParts } from '../db/schema-parts.ts'
import { createFollower, type Follower } from './follow.ts'
import { createIsolation } from './isolation.ts'
import { pruneModel } from './prune.ts'

const log = createLogger({ service: 'registry', silent: true })
let database: TestDatabase
let db: Database
let client: InternalClient
let stopCatalog: () => Promise<void>
let follower: Follower
let heads: ServedHead[] = []
/** What happens between the moment that the heads are of, and their arrival. */
let whileListing = async () => {}
/** What is told of a repository, beyond its head, in place of what follows from `heads`. */
const told = new Map<string, ServedRow[]>()

// The owner of the truth, as it answers over HTTP: repositories that stand among the heads are empty, all others are gone.
const commands = {
  'list-served-heads': async () => {
    const listed = heads
    await whileListing()
    return rows(inTurn(listed))
  },
  'list-served-rows': async ({ repositoryId }: { repositoryId: string }) => rows(inTurn(rowsOf(repositoryId))),
}

async function* inTurn<T>(items: readonly T[]): AsyncIterable<T> {
  yield* items
}

function rowsOf(repositoryId: string): object[] {
  const rows = told.get(repositoryId)
  if (rows) return rows
  const head = heads.filter((one) => one.kind === 'repository').find((one) => one.repositoryId === repositoryId)
  if (!head) return [{ kind: 'gone', repositoryId }]
  return [{ kind: 'head', repositoryId, name: 'team/app', revision: head.revision, latestVersion: 0, from: 0 }]
}

function distributionOf(repositoryId: string, more: Partial<ServedDistribution> = {}): ServedDistribution {
  const fixed = { id: randomUUID(), basePath: `path-${randomUUID()}`, repositoryId, version: null }
  return {
    ...fixed,
    access: 'private',
    redirect: false,
    warning: null,
    convertToSchema1: false,
    via: null,
    revision: 7,
    deleted: false,
    ...more,
  }
}

function hostOf(basePath: string): Extract<ServedHead, { kind: 'pull-through' }> {
  const fixed = { id: randomUUID(), basePath, remoteId: randomUUID(), host: 'registry.example' }
  return {
    kind: 'pull-through',
    ...fixed,
    ttlSeconds: 60,
    trigger: 'users',
    mirrorOfRoot: false,
    access: 'private',
    revision: 8,
    deleted: false,
  }
}

const repositories = async () =>
  (await db.query<{ id: string }>('select id from served_repository')).map(({ id }) => id)
const basePaths = async () =>
  (await db.query<{ base_path: string }>('select base_path from pointer')).map((row) => row.base_path)

beforeAll(async () => {
  database = await makeDatabase()
  await applyMigrations({
    url: database.url,
    schema: 'registry',
    parts: schemaParts,
  })
  db = openDatabase({ url: database.url, schema: 'registry' })
  const catalog = createInternalServer({ service: 'catalog', publicKeys, log, commands })
  const { server, port } = await listen(catalog, { port: 0, host: '127.0.0.1' })
  stopCatalog = () => closeServer(server, 0)
  client = createInternalClient({
    baseUrl: `http://127.0.0.1:${port}`,
    from: 'registry',
    to: 'catalog',
    privateKey: privateKeyOf('registry'),
  })
})
afterAll(async () => {
  await client?.close()
  await stopCatalog?.()
  await db?.close()
  await database?.drop()
})
beforeEach(async () => {
  whileListing = async () => {}
  await db.query('truncate served_repository, pointer, pull_through, gone_distribution, namespace cascade')
  const isolation = createIsolation({ db, log, metrics: createMetrics() })
  follower = createFollower({ db, catalog: commandsOf<CatalogCommands>(client), isolation, log })
})

test('comparing with catalog again changes nothing where nothing changed', async () => {
  const living = randomUUID()
  const served = distributionOf(living)
  heads = [
    { kind: 'repository', repositoryId: living, revision: 3 },
    { kind: 'distribution', ...served },
    { kind: 'distribution', ...distributionOf(randomUUID(), { deleted: true }) },
  ]
  await follower.followAll()
  await follower.followAll()
  const written = () =>
    db.query('select xmin::text as written from served_repository union all select xmin::text from pointer')
  const before = await written()
  await follower.followAll()
  expect(await written()).toEqual(before)
  expect(await repositories()).toEqual([living])
  expect(await basePaths()).toEqual([served.basePath])
})

test('a changed distribution is taken over by the next comparison, and a deleted one goes', async () => {
  const living = randomUUID()
  const [moved, removed] = [distributionOf(living), distributionOf(living)]
  const repository: ServedHead = { kind: 'repository', repositoryId: living, revision: 3 }
  heads = [repository, { kind: 'distribution', ...moved }, { kind: 'distribution', ...removed }]
  await follower.followAll()
  heads = [
    repository,
    { kind: 'distribution', ...moved, access: 'public', revision: 8 },
    { kind: 'distribution', ...removed, deleted: true, revision: 9 },
  ]
  await follower.followAll()
  expect(await db.query('select base_path, access from pointer')).toEqual([
    { base_path: moved.basePath, access: 'public' },
  ])
})

test('what catalog tells of no more is served no more, for however long we were away', async () => {
  const living = randomUUID()
  const [stays, goes] = [distributionOf(living), distributionOf(living)]
  const repository: ServedHead = { kind: 'repository', repositoryId: living, revision: 3 }
  const host = hostOf(`hosts-${randomUUID()}`)
  const arrived = distributionOf(living, { via: host.id })
  heads = [repository, host, ...[stays, goes, arrived].map((one) => ({ kind: 'distribution' as const, ...one }))]
  await follower.followAll()
  expect((await basePaths()).sort()).toEqual([stays, goes, arrived].map((one) => one.basePath).sort())

  heads = [repository, { kind: 'distribution', ...stays }]
  await follower.followAll()
  expect(await basePaths()).toEqual([stays.basePath])
  expect(await db.query('select from pull_through where id = $1', [host.id])).toEqual([])
  // A message that comes late brings nothing back.
  await follower.followDistribution({ ...goes, revision: 6 })
  expect(await basePaths()).toEqual([stays.basePath])
})

test('of what a list left out by mistake everything is served again with the next list', async () => {
  const living = randomUUID()
  const [one, host] = [distributionOf(living), hostOf(`hosts-${randomUUID()}`)]
  const repository: ServedHead = { kind: 'repository', repositoryId: living, revision: 3 }
  const all = [repository, { kind: 'distribution' as const, ...one }, host]
  heads = all
  await follower.followAll()
  heads = [repository]
  await follower.followAll()
  expect(await basePaths()).toEqual([])
  heads = all
  await follower.followAll()
  expect(await basePaths()).toEqual([one.basePath])
  expect(await db.query('select id from pull_through')).toEqual([{ id: host.id }])
})

test.each([
  ['told of as deleted', true],
  ['told of no more', false],
])('a host whose base path has a new owner, and that is %s, is no obstacle', async (_how, isTold) => {
  const old = hostOf(`hosts-${randomUUID()}`)
  const owner = hostOf(old.basePath)
  heads = [old]
  await follower.followAll()
  // Catalog tells of what lives first.
  heads = [owner, ...(isTold ? [{ ...old, revision: 9, deleted: true }] : [])]
  await follower.followAll()
  expect(await db.query('select id from pull_through')).toEqual([{ id: owner.id }])
})

test('what was made while catalog told what there is, is not taken for gone', async () => {
  const living = randomUUID()
  const [before, made] = [distributionOf(living), distributionOf(living)]
  heads = [
    { kind: 'repository', repositoryId: living, revision: 3 },
    { kind: 'distribution', ...before },
  ]
  await follower.followAll()
  whileListing = () => follower.followDistribution(made)
  await follower.followAll()
  expect((await basePaths()).sort()).toEqual([before.basePath, made.basePath].sort())
})

test('namespaces are known from the list, and that of a repository before anything in it is served', async () => {
  const namespaces = async () =>
    (await db.query<{ name: string }>('select name from namespace')).map(({ name }) => name)
  heads = [{ kind: 'namespace', name: 'told' }]
  await follower.followAll()
  expect(await namespaces()).toEqual(['told'])
  const id = randomUUID()
  await follower.apply(id, [contentOf(id, 2, 0)])
  expect((await namespaces()).sort()).toEqual(['team', 'told'])
})

test('the names of what is gone are forgotten after two weeks', async () => {
  const [long, late] = [randomUUID(), randomUUID()]
  for (const [id, days] of [
    [long, 15],
    [late, 13],
  ])
    await db.query(
      'insert into gone_distribution (id, revision, gone_at) values ($1, 1, now() - make_interval(days => $2))',
      [id, days],
    )
  await pruneModel(db)
  expect(await db.query('select id from gone_distribution')).toEqual([{ id: late }])
})

test('a distribution that is told of only after its repository is gone is not served', async () => {
  heads = []
  await follower.followDistribution(distributionOf(randomUUID()))
  expect(await basePaths()).toEqual([])
  await follower.followAll()
  expect(await repositories()).toEqual([])
})

const digest = `sha256:${'1'.repeat(64)}` as Digest
const contentOf = (id: string, revision: number, from: number): ServedRow => ({
  kind: 'head',
  repositoryId: id,
  name: 'team/app',
  revision,
  latestVersion: 1,
  from,
})

test('rows that are all there is take away what the model had beyond them', async () => {
  const id = randomUUID()
  await follower.apply(id, [
    contentOf(id, 2, 0),
    { kind: 'blob-facts', digest, generation: 1, sizeBytes: 1 },
    { kind: 'link', digest, linked: true },
    { kind: 'tag', name: 'latest', digest, since: 1, until: null },
  ])
  expect(await db.query('select name from served_tag where repository_id = $1', [id])).toHaveLength(1)
  await follower.apply(id, [contentOf(id, 5, 0)])
  expect(await db.query('select from served_tag where repository_id = $1', [id])).toEqual([])
  expect(await db.query('select from served_link where repository_id = $1', [id])).toEqual([])
})

test('what is over is deleted from the model, with the facts of what nothing serves any more', async () => {
  const id = randomUUID()
  const other = `sha256:${'2'.repeat(64)}` as Digest
  await follower.apply(id, [
    contentOf(id, 2, 0),
    { kind: 'blob-facts', digest, generation: 1, sizeBytes: 1 },
    { kind: 'blob-facts', digest: other, generation: 2, sizeBytes: 1 },
    { kind: 'blob', digest, since: 1, until: 1 },
    { kind: 'blob', digest: other, since: 1, until: 2 },
  ])
  await pruneModel(db)
  expect(await db.query('select digest from served_blob where repository_id = $1', [id])).toEqual([{ digest: other }])
  expect(await db.query('select digest from blob_facts where digest in ($1, $2)', [digest, other])).toEqual([
    { digest: other },
  ])
})

test('a rollback is done in the model too, with what was over at once and is to be there again', async () => {
  const id = randomUUID()
  const tag = (name: string, since: number, until: number | null): ServedRow => ({
    kind: 'tag',
    name,
    digest,
    since,
    until,
  })
  const before = [tag('a', 1, 2), tag('b', 1, null), tag('c', 2, null), tag('a', 3, 3), tag('d', 3, 3)]
  await follower.apply(id, [{ ...contentOf(id, 5, 0), latestVersion: 2 } as ServedRow, ...before])
  told.set(id, [
    { ...contentOf(id, 6, 5), latestVersion: 3 } as ServedRow,
    { kind: 'restored', repositoryId: id, version: 1, at: 3 } as ServedRow,
  ])
  await follower.follow(id, 6)
  expect(
    await db.query('select name, since, until from served_tag where repository_id = $1 order by name, since', [id]),
  ).toEqual([
    { name: 'a', since: 1, until: 2 },
    { name: 'a', since: 3, until: null },
    { name: 'b', since: 1, until: null },
    { name: 'c', since: 2, until: 3 },
    { name: 'd', since: 3, until: 3 },
  ])
})
