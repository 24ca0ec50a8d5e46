import { randomUUID } from 'node:crypto'
import { eventsRecorded } from '@berth/bus'
import { applyMigrations, createLogger, type Database, openDatabase } from '@berth/service'
import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { schemaParts } from '../db/schema-parts.ts'
import { newProgress } from '../fetch/progress.ts'
import { announceProgress } from './announce-progress.ts'

const log = createLogger({ service: 'sync', silent: true })
let database: TestDatabase
let db: Database
beforeAll(async () => {
  database = await makeDatabase()
  await applyMigrations({ url: database.url, schema: 'sync', parts: schemaParts })
  db = openDatabase({ url: database.url, schema: 'sync' })
})
afterAll(async () => {
  await db?.close()
  await database?.drop()
})

const announced = async () =>
  (await db.query<{ event: { type: string; data: object } }>('select event from outbox order by seq')).map(
    ({ event }) => event,
  )

test('how far a run is is announced from time to time, when it got further, and no more once it is over', async () => {
  const run = {
    id: randomUUID(),
    taskId: randomUUID(),
    remoteId: randomUUID(),
    remoteName: 'hub',
    repositoryId: randomUUID(),
    repositoryName: 'library/alpine',
    actor: { id: null, name: 'admin' },
  }
  const progress = newProgress()
  progress.tags = { done: 3, total: 3 }
  progress.manifests = { done: 1, total: 3 }
  progress.fetchedBytes = 700
  let next = Promise.withResolvers<void>()
  db.onCommit(eventsRecorded, () => next.resolve())
  const announcing = announceProgress({ db, log, everyMs: 5 }, run as never, progress)
  await next.promise
  next = Promise.withResolvers()
  progress.manifests.done = 3
  await next.promise
  await announcing.stop()
  const events = await announced()
  expect(events).toMatchObject([
    {
      type: 'dev.berth.sync.run.progressed.v1',
      data: {
        runId: run.id,
        phase: 'manifests',
        tagsDone: 3,
        tagsTotal: 3,
        manifestsDone: 1,
        blobsTotal: null,
        bytes: 700,
      },
    },
    { data: { manifestsDone: 3, manifestsTotal: 3 } },
  ])
})
