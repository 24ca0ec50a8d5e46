import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { awaitMigrations } from './await-migrations.ts'
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
  await mkdir(join(folder, 'migrations'))
  schema = `s${++count}`
  db = openDatabase({ url: database.url, schema })
})
afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true })
})

async function write(name: string, sql: string): Promise<void> {
  await mkdir(join(folder, 'migrations', name), { recursive: true })
  await writeFile(join(folder, 'migrations', name, 'migration.sql'), sql)
}
async function writeFunction(name: string, body: string): Promise<void> {
  await mkdir(join(folder, 'functions'), { recursive: true })
  const sql = `create or replace function ${name}() returns integer language plpgsql as $$ ${body} $$`
  await writeFile(join(folder, 'functions', `${name}.sql`), sql)
}
const parts = () => [pathToFileURL(`${folder}/`)]
const apply = () => applyMigrations({ url: database.url, schema, parts: parts() })
const answerOf = async (name: string) => (await db.query<{ it: number }>(`select ${name}() as it`))[0]?.it
const tables = async () =>
  (
    await db.query<{ name: string }>(
      'select table_name as name from information_schema.tables where table_schema = $1',
      [schema],
    )
  )
    .map(({ name }) => name)
    .filter((name) => !name.startsWith('_'))
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
  await rm(join(folder, 'migrations', '9_newer'), { recursive: true })
  await write('2_b', 'create table b ()')
  await expect(apply()).rejects.toMatchObject({
    name: 'StartupError',
    message: expect.stringContaining('newer release'),
    remedy: expect.stringContaining('newer release'),
  })
  expect(await tables()).toEqual(['a', 'newer'])
})

test('a schema of before the first release is refused with the remedy, and not touched', async () => {
  await write('1_a', 'create table a ()')
  await writeFunction('first', 'begin return 1; end')
  await apply()
  await rm(join(folder, 'migrations', '1_a'), { recursive: true })
  await write('2_all', 'create table a (); create table b ()')
  await writeFunction('first', 'begin return 2; end')
  await expect(apply()).rejects.toMatchObject({
    name: 'StartupError',
    message: expect.stringContaining('this was made before the first release'),
    remedy: 'set another BERTH_HOME or database, and an empty store',
  })
  expect([await tables(), await answerOf('first')]).toEqual([['a'], 1])
})

test('a migration that was edited after it was applied is refused', async () => {
  await write('1_a', 'create table a ()')
  await apply()
  await write('1_a', 'create table a (x integer)')
  await expect(apply()).rejects.toMatchObject({ name: 'StartupError', message: expect.stringContaining('1_a') })
})

test('functions are made after the migrations, and again when their files change', async () => {
  await write('1_a', 'create table a (x integer); insert into a values (1)')
  await writeFunction('first', 'begin return (select x from a); end')
  await writeFunction('second', 'begin return first() + 1; end')
  await apply()
  expect([await answerOf('first'), await answerOf('second')]).toEqual([1, 2])
  await writeFunction('first', 'begin return 5; end')
  expect(await apply()).toEqual([])
  expect([await answerOf('first'), await answerOf('second')]).toEqual([5, 6])
})

test('functions that have not changed are left alone, until a migration is applied', async () => {
  await write('1_a', '')
  await writeFunction('first', 'begin return 1; end')
  await apply()
  await db.query('create or replace function first() returns integer language sql as $$ select 9 $$')
  await apply()
  expect(await answerOf('first')).toBe(9)
  await write('2_b', 'drop function first()')
  await apply()
  expect(await answerOf('first')).toBe(1)
})

test('a migration and the functions behind it come together or not at all', async () => {
  await write('1_a', 'create table a ()')
  await writeFunction('first', 'begin return 1; end')
  await apply()
  await write('2_b', 'create table b ()')
  await writeFunction('first', 'begin return 2; end')
  await writeFunction('second', 'begin this is no statement; end')
  await expect(apply()).rejects.toThrow(/function second of schema "s\d+" failed: syntax error/)
  expect([await tables(), await answerOf('first')]).toEqual([['a'], 1])
  await writeFunction('second', 'begin return 3; end')
  expect(await apply()).toEqual(['2_b'])
  expect([await answerOf('first'), await answerOf('second')]).toEqual([2, 3])
})

test('an older program, which does not know all migrations, changes no function', async () => {
  await write('1_a', '')
  await write('2_b', '')
  await writeFunction('first', 'begin return 2; end')
  await apply()
  await rm(join(folder, 'migrations', '2_b'), { recursive: true })
  await writeFunction('first', 'begin return 1; end')
  await expect(apply()).rejects.toMatchObject({ message: expect.stringContaining('newer release') })
  expect(await answerOf('first')).toBe(2)
})

test('a schema is made of the parts of several packages, in the order of the names', async () => {
  await write('1_a', 'create table a (x integer)')
  await write('3_c', 'insert into b select x from a')
  const other = await mkdtemp(join(tmpdir(), 'berth-migrations-'))
  await mkdir(join(other, 'migrations', '2_b'), { recursive: true })
  await writeFile(join(other, 'migrations', '2_b', 'migration.sql'), 'create table b (x integer)')
  const both = [...parts(), pathToFileURL(`${other}/`)]
  expect(await applyMigrations({ url: database.url, schema, parts: both })).toEqual(['1_a', '2_b', '3_c'])
  await rm(other, { recursive: true })
})

test('a database that cannot be reached is told without its password', async () => {
  const url = 'postgres://user:planted-secret@127.0.0.1:1/berth'
  const refused = applyMigrations({ url, schema, parts: parts() })
  await expect(refused).rejects.toMatchObject({ message: expect.stringContaining('127.0.0.1:1/berth') })
  await expect(refused).rejects.not.toMatchObject({ message: expect.stringContaining('planted-secret') })
})

test('an older program works on with a schema that only has more, and leaves its functions alone', async () => {
  await write('1_a', 'create table a ()')
  await writeFunction('first', 'begin return 1; end')
  await apply()
  await write('2_expand_b', 'create table b ()')
  await writeFunction('first', 'begin return 2; end')
  await apply()
  await rm(join(folder, 'migrations', '2_expand_b'), { recursive: true })
  await writeFunction('first', 'begin return 1; end')
  expect(await apply()).toEqual([])
  await awaitMigrations({ url: database.url, schema, parts: parts() })
  expect([await tables(), await answerOf('first')]).toEqual([['a', 'b'], 2])
})

test('who does not migrate waits until it is done, and says once for what', async () => {
  await write('1_a', 'create table a ()')
  await write('2_b', 'create table b ()')
  const lacks: string[] = []
  const waiting = awaitMigrations({
    url: database.url,
    schema,
    parts: parts(),
    pollMs: 10,
    onWait: ({ message }) => lacks.push(message),
  })
  await until(async () => lacks.length > 0)
  expect(lacks).toEqual([expect.stringContaining('lacks the migration 1_a')])
  await apply()
  await waiting
})

test('who does not migrate gives up after a while, and waits for no refused login', async () => {
  await write('1_a', 'create table a ()')
  const wait = (url: string) => awaitMigrations({ url, schema, parts: parts(), withinMs: 20, pollMs: 5 })
  await expect(wait(database.url)).rejects.toMatchObject({
    name: 'StartupError',
    remedy: expect.stringContaining('berth migrate'),
  })
  await expect(wait('postgres://nobody:x@127.0.0.1:1/berth')).rejects.toMatchObject({
    message: expect.stringContaining('ECONNREFUSED'),
  })
  const lost = new URL(database.url)
  lost.pathname = '/no-such-database'
  const first = Date.now()
  const refused = awaitMigrations({ url: lost.href, schema, parts: parts(), withinMs: 60_000 })
  await expect(refused).rejects.toMatchObject({ message: expect.stringContaining('does not exist') })
  expect(Date.now() - first).toBeLessThan(10_000)
})

test('another user may read and change rows, and make or drop no table; it waits while it has no rights', async () => {
  const role = `reader_${schema}`
  await write('1_a', 'create table a (x integer generated always as identity, y integer)')
  await apply()
  await db.query(`create role ${role} login password 'x'`)
  const url = new URL(database.url)
  url.username = role
  url.password = 'x'
  const lacks: string[] = []
  const waiting = awaitMigrations({
    url: url.href,
    schema,
    parts: parts(),
    pollMs: 10,
    onWait: ({ message }) => lacks.push(message),
  })
  await until(async () => lacks.length > 0)
  expect(lacks[0]).toContain('lacks rights')
  await applyMigrations({ url: database.url, schema, parts: parts(), role })
  await waiting
  const other = openDatabase({ url: url.href, schema })
  try {
    await other.query('insert into a (y) values (1)')
    expect(await other.query('select x, y from a')).toEqual([{ x: 1, y: 1 }])
    await expect(other.query('drop table a')).rejects.toThrow('must be owner')
    await expect(other.query('create table b ()')).rejects.toThrow('permission denied')
  } finally {
    await other.close()
    await db.query(`drop owned by ${role}; drop role ${role}`)
  }
})

test('a role that does not exist is told by the variable that names it', async () => {
  await write('1_a', '')
  const given = applyMigrations({ url: database.url, schema, parts: parts(), role: 'no one' })
  await expect(given).rejects.toMatchObject({ message: expect.stringContaining('BERTH_DATABASE_ROLE') })
})
