import type { Digest } from '@berth/oci'
import { applyMigrations, type Database, openDatabase } from '@berth/service'
import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { schemaParts } from '../db/schema-parts.ts'
import { recordGiven, recordSources } from './sources.ts'

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

test('copies that note at once, each in its own order, what one upstream has do not fail each other', async () => {
  const [remote] = await db.query<{ id: string }>(
    `insert into remote (name, url, upstream_name, policy, include_tags, exclude_tags, created_by)
     values ('one', 'https://registry.example', 'team/app', 'immediate', '{}', '{}', 'ana') returning id`,
  )
  const at = { remoteId: remote?.id ?? '', repository: 'team/app' }
  const digests = Array.from({ length: 1_000 }, (_, i) => `sha256:${String(i).padStart(64, '0')}` as Digest)
  for (const record of [recordGiven, recordSources]) {
    for (let i = 0; i < 10; i++) {
      await db.query('delete from content_source')
      const notes = Array.from({ length: 6 }, (_, n) => record(db, at, n % 2 ? digests : [...digests].reverse()))
      expect(await Promise.allSettled(notes)).toEqual(notes.map(() => ({ status: 'fulfilled', value: undefined })))
    }
  }
})
