import { applyMigrations, createLogger, type Database, openDatabase } from '@berth/service'
import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { schemaParts } from '../db/schema-parts.ts'
import { createIntactGuard } from './intact.ts'
import { createPointerReader } from './pointer.ts'

const log = createLogger({ service: 'registry', silent: true })
let database: TestDatabase
let db: Database

beforeAll(async () => {
  database = await makeDatabase()
  await applyMigrations({ url: database.url, schema: 'registry', parts: schemaParts })
  db = openDatabase({ url: database.url, schema: 'registry' })
})
afterAll(async () => {
  await db.close()
  await database.drop()
})

/** As PostgreSQL does with an unlogged table when it recovers. */
const crash = () => db.query('truncate model_intact')

test('a model that lost nothing is compared with nothing', async () => {
  const readPointer = createPointerReader(db, () => Promise.reject(new Error('it is intact')))
  expect(await readPointer('nobody/here')).toBeUndefined()
})

test('after a crash of the database nothing is read before all was compared, once for all that wait', async () => {
  await crash()
  const seen: string[] = []
  const compare = async () => {
    seen.push('begun')
    await db.query('select pg_sleep(0.2)')
    seen.push('compared')
  }
  const readPointer = createPointerReader(db, createIntactGuard(db, { compare, log }))
  await Promise.all(
    ['a', 'b', 'c', 'a'].map(async (name) => {
      await readPointer(`team/${name}`)
      seen.push('answered')
    }),
  )
  expect(seen).toEqual(['begun', 'compared', 'answered', 'answered', 'answered', 'answered'])
  await readPointer('team/a')
  expect(seen).toHaveLength(6)
})

test('a crash while it is compared makes the comparison worth nothing, and it is made again', async () => {
  await crash()
  let crashes = 1
  const compare = async () => {
    if (crashes-- > 0) await crash()
  }
  const readPointer = createPointerReader(db, createIntactGuard(db, { compare, log }))
  await expect(readPointer('team/a')).rejects.toMatchObject({ code: 'UNAVAILABLE', status: 503 })
  expect(await readPointer('team/a')).toBeUndefined()
  expect(crashes).toBe(-1)
})

test('a pull does not wait for a long comparison, which goes on; while catalog is away it is told so', async () => {
  await crash()
  const held = Promise.withResolvers<void>()
  const readPointer = createPointerReader(db, createIntactGuard(db, { compare: () => held.promise, log }))
  await expect(readPointer('team/a')).rejects.toMatchObject({ code: 'UNAVAILABLE', status: 503 })
  held.resolve()
  expect(await readPointer('team/a')).toBeUndefined()
  await crash()
  const away = createIntactGuard(db, { compare: () => Promise.reject(new Error('catalog is away')), log })
  await expect(createPointerReader(db, away)('team/a')).rejects.toThrow('catalog is away')
})
