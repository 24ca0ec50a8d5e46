import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type Database, openDatabase } from './database.ts'
import { createInternalClient } from './internal-client.ts'
import { createInternalServer, rows } from './internal-server.ts'
import { createLogger } from './logger.ts'
import { closeServer, listen } from './service.ts'
import { makeDatabase, type TestDatabase } from './testing/database.ts'
import { privateKeyOf, publicKeys } from './testing/service-keys.ts'
import { until } from './testing/until.ts'

let database: TestDatabase
let db: Database
let other: Database
const heard: Error[] = []

beforeAll(async () => {
  database = await makeDatabase()
  db = openDatabase({ url: database.url, schema: 'public', onError: (error) => heard.push(error) })
  other = openDatabase({ url: database.url, schema: 'public' })
})
afterAll(async () => {
  await Promise.all([db.close(), other.close()])
  await database.drop()
})

test('a connection lost inside a transaction fails that transaction and nothing else', async () => {
  const work = db.transaction(async (sql) => {
    const [own] = await sql.query<{ pid: number }>('select pg_backend_pid() as pid')
    await other.query('select pg_terminate_backend($1)', [own?.pid])
    await until(async () => heard.length > 0)
    await sql.query('select 1')
  })
  await expect(work).rejects.toMatchObject({ status: 503, code: 'database_unavailable' })
  expect(await db.query('select 1 as one')).toEqual([{ one: 1 }])
})

test('a connection lost during a statement of a transaction fails that transaction and nothing else', async () => {
  const work = db.transaction((sql) => sql.query('select pg_terminate_backend(pg_backend_pid())'))
  await expect(work).rejects.toMatchObject({ status: 503, code: 'database_unavailable' })
  expect(await db.query('select 1 as one')).toEqual([{ one: 1 }])
})

test('a statement that goes on does not hold up the closing of its database', async () => {
  const slow = openDatabase({ url: database.url, schema: 'public' })
  const [own] = await slow.query<{ pid: number }>('select pg_backend_pid() as pid')
  const ended = slow.query('select pg_sleep(60)').catch((error: unknown) => error)
  const seen = "select from pg_stat_activity where pid = $1 and state = 'active' and query like '%pg_sleep%'"
  await until(async () => (await other.query(seen, [own?.pid])).length === 1)
  const startedAt = performance.now()
  await slow.close()
  expect(performance.now() - startedAt).toBeLessThan(5_000)
  await other.query('select pg_terminate_backend($1)', [own?.pid])
  expect(await ended).toBeInstanceOf(Error)
})

test('a reader that leaves in the middle of a reply of rows ends the owner’s work on it', async () => {
  let left = false
  const endless = async function* () {
    try {
      for (let number = 0; ; number++) yield { number, filling: 'x'.repeat(1_000) }
    } finally {
      left = true
    }
  }
  const owner = createInternalServer({
    service: 'owner',
    publicKeys,
    log: createLogger({ service: 'test', silent: true }),
    commands: { endless: async () => rows(endless()) },
  })
  const { server, port } = await listen(owner, { port: 0, host: '127.0.0.1' })
  const client = createInternalClient({
    baseUrl: `http://127.0.0.1:${port}`,
    from: 'asker',
    to: 'owner',
    privateKey: privateKeyOf('asker'),
  })
  try {
    for await (const row of client.rows('endless', {})) {
      expect(row).toMatchObject({ number: 0 })
      break
    }
    await until(async () => left)
  } finally {
    await client.close()
    await closeServer(server, 0)
  }
})

test('a statement that takes longer than it may is ended, and told as a database that does not answer', async () => {
  const hasty = openDatabase({ url: database.url, schema: 'public', statementTimeoutMs: 50 })
  const refusal = { status: 503, code: 'database_unavailable', options: { headers: { 'retry-after': '2' } } }
  try {
    await expect(hasty.query('select pg_sleep(30)')).rejects.toMatchObject(refusal)
    await expect(hasty.transaction((sql) => sql.query('select pg_sleep(30)'))).rejects.toMatchObject(refusal)
    // What no request waits for may take longer, and leaves the connection as it was.
    await hasty.background.query('select pg_sleep(0.2)')
    await hasty.background.transaction((sql) => sql.query('select pg_sleep(0.2)'))
    expect(await hasty.query('show statement_timeout')).toEqual([{ statement_timeout: '50ms' }])
  } finally {
    await hasty.close()
  }
})

test('requests have 30 s for a statement, and background work ten minutes', async () => {
  const show = 'show statement_timeout'
  expect(await db.query(show)).toEqual([{ statement_timeout: '30s' }])
  expect(await db.background.query(show)).toEqual([{ statement_timeout: '10min' }])
  expect(await db.background.transaction((sql) => sql.query(show))).toEqual([{ statement_timeout: '10min' }])
})

test('a server that cannot be reached is told as one that does not answer', async () => {
  const nowhere = openDatabase({ url: 'postgres://berth@127.0.0.1:1/berth', schema: 'public' })
  await expect(nowhere.query('select 1')).rejects.toMatchObject({ status: 503, code: 'database_unavailable' })
  await expect(nowhere.background.query('select 1')).rejects.toMatchObject({ code: 'database_unavailable' })
  await expect(nowhere.transaction(async () => 1)).rejects.toMatchObject({ code: 'database_unavailable' })
  await nowhere.close()
})
