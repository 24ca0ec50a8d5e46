import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type BlobStore, createFileSystemStore } from '@berth/blobs'
import { applyMigrations, type Database, openDatabase } from '@berth/service'
import { makeDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { schemaParts } from '../db/schema-parts.ts'
import { createSessionIds } from './session-id.ts'
import { claimSession, recordPart } from './sessions.ts'
import { sweepUploads } from './sweep.ts'

const owner = { repository: 'team/app', subject: 'ana' }
let nextNumber = 1
const dayMs = 86_400_000
let root: string
let database: Awaited<ReturnType<typeof makeDatabase>>
let db: Database
let blobs: BlobStore

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'berth-sweep-'))
  database = await makeDatabase()
  await applyMigrations({
    url: database.url,
    schema: 'registry',
    parts: schemaParts,
  })
  db = openDatabase({ url: database.url, schema: 'registry' })
  blobs = createFileSystemStore({ root })
  await blobs.check()
})
afterAll(async () => {
  await blobs.close()
  await db.close()
  await database.drop()
  await rm(root, { recursive: true })
})

async function* bytes() {
  yield Buffer.from('some bytes')
}

async function stagedFiles(): Promise<number> {
  const entries = await readdir(path.join(root, 'staging'), { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).length
}

test('bytes that a killed request left are removed after a day; those of a living upload stay, whatever their age', async () => {
  const ids = createSessionIds('a secret')
  const claim = await claimSession({ db, ids }, ids.make(owner, nextNumber++), owner)
  const part = await blobs.writePart(`${claim.id}-${claim.fence}`, 0, bytes())
  await recordPart(db, claim, part)
  // As a request that was killed before it could record its part, in a session that is gone.
  await blobs.writePart('00000000-0000-4000-8000-000000000000-1', 0, bytes())
  expect(await stagedFiles()).toBe(2)
  expect(await sweepUploads(db, blobs, async () => true)).toBe(0)
  expect(await sweepUploads(db, blobs, async () => true, Date.now() + 2 * dayMs)).toBe(1)
  expect(await stagedFiles()).toBe(1)
})

test('an upload that nobody touched for a day ends, and its bytes go with it', async () => {
  await db.query(`update upload_session set touched_at = now() - interval '25 hours'`)
  await sweepUploads(db, blobs, async () => true)
  expect(await stagedFiles()).toBe(0)
  expect(await db.query('select from upload_session')).toHaveLength(0)
})

test('an account has at most ten thousand uploads open, and goes on with those', async () => {
  const busy = { repository: 'team/app', subject: 'busy' }
  const ids = createSessionIds('secret')
  const first = ids.make(busy, nextNumber++)
  await claimSession({ db, ids }, first, busy)
  await db.query(
    `insert into upload_session (id, repository, subject)
     select gen_random_uuid(), 'team/other', $1
     from generate_series(2, 10000)`,
    [busy.subject],
  )
  await expect(claimSession({ db, ids }, ids.make(busy, nextNumber++), busy)).rejects.toMatchObject({
    code: 'TOOMANYREQUESTS',
  })
  expect(await claimSession({ db, ids }, first, busy)).toMatchObject({ id: first, fence: 2 })
  await claimSession({ db, ids }, ids.make(owner, nextNumber++), owner)
  await db.query("update upload_session set state = 'committed' where id = $1", [first])
  await claimSession({ db, ids }, ids.make(busy, nextNumber++), busy)
})

test('an upload that nothing came for in a day is forgotten with its bytes, which is announced', async () => {
  const ids = createSessionIds('a secret')
  const claim = await claimSession({ db, ids }, ids.make(owner, nextNumber++), owner)
  await recordPart(db, claim, await blobs.writePart(`${claim.id}-${claim.fence}`, 0, bytes()))
  await db.query(`update upload_session set touched_at = now() - interval '25 hours' where id = $1`, [claim.id])
  await sweepUploads(db, blobs, async () => false)
  const told = () =>
    db.query<{ data: object }>(
      `select event -> 'data' as data
       from outbox
       where event ->> 'type' = 'dev.berth.registry.upload.expired.v1'
         and event -> 'data' ->> 'sessionId' = $1`,
      [claim.id],
    )
  const data = { sessionId: claim.id, basePath: 'team/app', bytes: 10 }
  expect(await told()).toEqual([{ data }])
  await sweepUploads(db, blobs, async () => false)
  expect(await told()).toEqual([{ data }])
})
