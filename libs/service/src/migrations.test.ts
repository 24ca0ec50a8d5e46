import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { type Database, openDatabase } from './database.ts'
import { applyMigrations } from './migrations.ts'
import { StartupError } from './startup-error.ts'
import { makeDatabase, type TestDatabase } from './testing/database.ts'
import { until } from './testing/until.ts'

let database: TestDatabase
let folder: string
let schema: string
let db: Database
let count = 0

beforeAll(async () => {
  database = await makeDatabase()
})
afterAll(() => database.drop())
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'berth-migrations-'))
  schema = `s${++count}`
  db = openDatabase({ url: database.url, schema })
})
afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true })
})

async function write(name: string, sql: string): Promise<void> {
  await mkdir(join(folder, name), { recursive: true })
  await writeFile(join(folder, name, 'migration.sql'), sql)
}
const apply = () => applyMigrations({ url: database.url, schema, directory: pathToFileURL(`${folder}/`) })
const tables = async () =>
  (
    await db.query<{ name: string }>(
      'select table_name as name from information_schema.tables where table_schema = $1',
      [schema],
    )
  )
    .map(({ name }) => name)
    .filter((name) => name !== '_prisma_migrations')
    .sort()

test('migrations are applied in the order of their names, each once', async () => {
  await write('2_b', 'alter table a add column y integer; create table b ()')
  await write('1_a', 'create table a (x integer)')
  expect(await apply()).toEqual(['1_a', '2_b'])
  expect(await apply()).toEqual([])
  await write('3_c', 'create table c ()')
  expect(await apply()).toEqual(['3_c'])
  expect(await tables()).toEqual(['a', 'b', 'c'])
})

test('of a migration that fails nothing stays, and after it was mended it is applied', async () => {
  await write('1_a', 'create table a ()')
  await write('2_b', 'create table b (); select 1 / 0')
  await expect(apply()).rejects.toThrow(/2_b of schema "s\d+" failed: division by zero/)
  expect(await tables()).toEqual(['a'])
  await write('2_b', 'create table b ()')
  expect(await apply()).toEqual(['2_b'])
})

test('of a migration whose connection is cut nothing stays, and it can be run again', async () => {
  await write('1_a', 'create table a (); select pg_sleep(60)')
  const cut = apply().catch((error: unknown) => error)
  await until(async () => {
    const rows = await db.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and application_name = 'berth-migrations' and query like '%pg_sleep(60)%' and state = 'active'`,
    )
    return rows.length > 0
  })
  expect(await cut).toBeInstanceOf(StartupError)
  expect(await tables()).toEqual([])
  await write('1_a', 'create table a ()')
  expect(await apply()).toEqual(['1_a'])
})

test('starters at the same time take turns', async () => {
  await write('1_a', 'create table a (); select pg_sleep(0.1)')
  await write('2_b', 'create table b ()')
  const applied = await Promise.all([apply(), apply(), apply()])
  expect(applied.flat().sort()).toEqual(['1_a', '2_b'])
})

test('the schema of a newer release is refused with the remedy, and not touched', async () => {
  await write('1_a', 'create table a ()')
  await write('9_newer', 'create table newer ()')
  await apply()
  await rm(join(folder, '9_newer'), { recursive: true })
  await write('2_b', 'create table b ()')
  await expect(apply()).rejects.toMatchObject({
    name: 'StartupError',
    message: expect.stringContaining('newer release'),
    remedy: expect.stringContaining('newer release'),
  })
  expect(await tables()).toEqual(['a', 'newer'])
})

test('a migration that was edited after it was applied is refused', async () => {
  await write('1_a', 'create table a ()')
  await apply()
  await write('1_a', 'create table a (x integer)')
  await expect(apply()).rejects.toMatchObject({ name: 'StartupError', message: expect.stringContaining('1_a') })
})

test('a database that cannot be reached is told without its password', async () => {
  const url = 'postgres://user:planted-secret@127.0.0.1:1/berth'
  const refused = applyMigrations({ url, schema, directory: pathToFileURL(`${folder}/`) })
  await expect(refused).rejects.toMatchObject({ message: expect.stringContaining('127.0.0.1:1/berth') })
  await expect(refused).rejects.not.toMatchObject({ message: expect.stringContaining('planted-secret') })
})
