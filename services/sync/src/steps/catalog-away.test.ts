import { randomBytes, randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BlobStore, openBlobStore } from '@berth/blobs'
import { type AuthCommands, type CatalogCommands, commandsOf } from '@berth/commands'
import {
  applyMigrations,
  closeServer,
  createInternalClient,
  createInternalServer,
  createLogger,
  createSealer,
  type Database,
  type InternalHandler,
  listen,
  openDatabase,
  Problem,
} from '@berth/service'
import { makeDatabase, privateKeyOf, publicKeys, type TestDatabase } from '@berth/service/testing'
import { TaskLost } from '@berth/worker'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { openPrisma, type Prisma } from '../db/client.ts'
import { schemaParts } from '../db/schema-parts.ts'
import { createSyncWork } from './do-sync.ts'

const log = createLogger({ service: 'sync', silent: true })
let database: TestDatabase
let db: Database
let prisma: Prisma
let blobs: BlobStore
let folder: string

beforeAll(async () => {
  database = await makeDatabase()
  await applyMigrations({ url: database.url, schema: 'sync', parts: schemaParts })
  db = openDatabase({ url: database.url, schema: 'sync' })
  prisma = openPrisma(db)
  folder = await mkdtemp(join(tmpdir(), 'berth-sync-'))
  blobs = await openBlobStore({ blobsDirectory: folder })
})
afterAll(async () => {
  await blobs?.close()
  await db?.close()
  await database?.drop()
  await rm(folder, { recursive: true })
})

/** Does a run whose remote was deleted meanwhile: it has to be given up, with a catalog that answers as told. */
async function giveUpWith(commands: Record<string, InternalHandler>) {
  const catalog = createInternalServer({ service: 'catalog', publicKeys, log, commands })
  const { server, port } = await listen(catalog, { port: 0, host: '127.0.0.1' })
  const client = createInternalClient({
    baseUrl: `http://127.0.0.1:${port}`,
    from: 'sync',
    to: 'catalog',
    privateKey: privateKeyOf('sync'),
  })
  const run = await prisma.syncRun.create({
    data: {
      id: randomUUID(),
      taskId: randomUUID(),
      remoteId: randomUUID(),
      remoteName: 'gone',
      repositoryId: randomUUID(),
      repositoryName: 'library/alpine',
      mode: 'additive',
      actor: 'admin',
    },
  })
  const work = createSyncWork({
    db,
    prisma,
    sealer: createSealer(randomBytes(32).toString('base64')),
    catalog: commandsOf<CatalogCommands>(client),
    // Its remote is gone before auth is asked.
    auth: commandsOf<AuthCommands>(client),
    blobs,
    log,
  })
  const task = { id: run.taskId, kind: 'sync', payload: { runId: run.id }, fence: 1, attempt: 1 }
  try {
    const signal = new AbortController().signal
    const [outcome] = await Promise.allSettled([work(task as never, { signal, report: () => {}, note: () => {} })])
    return { outcome, state: (await prisma.syncRun.findUnique({ where: { id: run.id } }))?.state }
  } finally {
    await client.close()
    await closeServer(server, 0)
  }
}

test('a run that cannot be closed in catalog is left to the next worker, and not called failed', async () => {
  const away = async () => {
    throw new Problem(503, 'service_unavailable', 'The catalog service does not answer.')
  }
  const { outcome, state } = await giveUpWith({ 'close-stage': away })
  expect(outcome).toMatchObject({ status: 'rejected', reason: expect.any(TaskLost) })
  expect(state).toBe('running')
})

test('a run that catalog has closed has failed with its reason, whether or not its leases were given back', async () => {
  const { outcome, state } = await giveUpWith({ 'close-stage': async () => ({ committed: false }) })
  expect(outcome).toMatchObject({ value: { state: 'failed', error: { code: 'remote_not_found' } } })
  expect(state).toBe('failed')
})
