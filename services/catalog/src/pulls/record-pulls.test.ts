import { randomUUID } from 'node:crypto'
import { applyMigrations, type Database, openDatabase } from '@berth/service'
import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { schemaParts } from '../db/schema-parts.ts'
import { recordPulls } from './record-pulls.ts'

let database: TestDatabase
let db: Database
let repositoryId: string

beforeAll(async () => {
  database = await makeDatabase()
  await applyMigrations({ url: database.url, schema: 'catalog', parts: schemaParts })
  db = openDatabase({ url: database.url, schema: 'catalog' })
  const [row] = await db.query<{ id: string }>(
    "insert into repository (name, created_by) values ('team/app', 'test') returning id",
  )
  repositoryId = row?.id ?? ''
})
afterAll(async () => {
  await db?.close()
  await database?.drop()
})

const at = (time: string) => Date.parse(`2026-01-01T${time}Z`)
const kept = async () => {
  const rows = await db.query<{ name: string; at: Date }>(
    'select name, pulled_at as at from tag_pull union all select digest, pulled_at from manifest_pull order by 1',
  )
  return rows.map((row) => `${row.name} ${new Date(row.at).toISOString().slice(11, 19)}`)
}

test('the last time is kept, and never goes back', async () => {
  const digest = `sha256:${'1'.repeat(64)}` as const
  const pulls = [
    { repositoryId, tag: 'latest', at: at('10:00:00') },
    { repositoryId, digest: digest as never, at: at('10:00:01') },
  ]
  await recordPulls(db, { pulls })
  await recordPulls(db, { pulls })
  expect(await kept()).toEqual(['latest 10:00:00', `${digest} 10:00:01`])
  await recordPulls(db, { pulls: [{ repositoryId, tag: 'latest', at: at('09:00:00') }] })
  expect(await kept()).toContain('latest 10:00:00')
  await recordPulls(db, {
    pulls: ['11:00:00', '12:00:00', '11:30:00'].map((time) => ({ repositoryId, tag: 'latest', at: at(time) })),
  })
  expect(await kept()).toContain('latest 12:00:00')
})

test('a clock that is ahead sets no time that has not come', async () => {
  await recordPulls(db, { pulls: [{ repositoryId, tag: 'early', at: Date.now() + 86_400_000 }] })
  const [row] = await db.query<{ ahead: boolean }>(
    "select pulled_at > now() as ahead from tag_pull where name = 'early'",
  )
  expect(row).toEqual({ ahead: false })
})

test('pulls from a repository that is gone are forgotten, and the others of the batch are kept', async () => {
  await recordPulls(db, {
    pulls: [
      { repositoryId: randomUUID(), tag: 'gone', at: at('10:00:00') },
      { repositoryId, tag: 'there', at: at('10:00:00') },
    ],
  })
  expect(await kept()).toContain('there 10:00:00')
  expect(await kept()).not.toContain('gone 10:00:00')
})
