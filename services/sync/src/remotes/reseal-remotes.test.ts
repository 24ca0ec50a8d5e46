import { randomBytes } from 'node:crypto'
import { createLogger, createSealer, type Database, openDatabase, type Sealer } from '@berth/service'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import pg from 'pg'
import { type StartedSync, startSync } from '../testing/started.fixture.ts'
import { type SecretField, sealedColumns, secretContext } from './fields.ts'
import { resealRemotes } from './reseal-remotes.ts'
import { insertRemote, updateRemote } from './write.ts'

let sync: StartedSync
let db: Database
let sql: pg.Client
beforeAll(async () => {
  sync = await startSync()
  db = openDatabase({ url: sync.databaseUrl, schema: 'sync' })
  sql = new pg.Client({ connectionString: sync.databaseUrl, options: '-c search_path=sync' })
  await sql.connect()
})
afterAll(async () => {
  await sql?.end()
  await db?.close()
  await sync?.stop()
})

const log = createLogger({ service: 'sync', silent: true })
const newKey = () => randomBytes(32).toString('base64')
let count = 0
const insert = (sealer: Sealer, more: object) =>
  insertRemote(
    { db, sealer, actor: { id: null, name: 'a test' } },
    { name: `remote-${++count}`, url: 'https://registry.example.com', upstreamName: 'a', ...more },
  )
async function secretOf(sealer: Sealer, id: string, field: SecretField): Promise<string> {
  const { rows } = await sql.query(`select ${sealedColumns[field]} as sealed from remote where id = $1`, [id])
  return sealer.open(rows[0].sealed, secretContext(id, field))
}

test('all secrets of all remotes are sealed under the present key, and open without the previous one', async () => {
  const [oldKey, key] = [newKey(), newKey()]
  const old = createSealer(oldKey)
  const ids = await Promise.all(
    Array.from({ length: 250 }, (_, i) =>
      insert(old, { username: 'u', password: `password ${i}`, headers: { 'x-team': `header ${i}` } }),
    ),
  )
  const untouched = await insert(createSealer(key), { token: 'mine' })
  const both = createSealer(key, oldKey)
  expect(await resealRemotes(db, both, log)).toEqual({ resealed: 250, unreadable: [] })
  const alone = createSealer(key)
  for (const [i, id] of ids.entries()) {
    expect(await secretOf(alone, id, 'password')).toBe(`password ${i}`)
    expect(JSON.parse(await secretOf(alone, id, 'headers'))).toEqual({ 'x-team': `header ${i}` })
  }
  expect(await secretOf(alone, untouched, 'token')).toBe('mine')
  expect(await resealRemotes(db, both, log)).toEqual({ resealed: 0, unreadable: [] })
  await sql.query('delete from remote')
})

test('changes at the same time are never undone, and nothing is left under the previous key', async () => {
  const [oldKey, key] = [newKey(), newKey()]
  const [old, both] = [createSealer(oldKey), createSealer(key, oldKey)]
  const ids = await Promise.all(
    Array.from({ length: 120 }, (_, i) => insert(old, { username: 'u', password: `old ${i}` })),
  )
  const gone = await insert(old, { token: 'gone' })
  const change = async () => {
    for (const id of ids.toReversed())
      await updateRemote({ db, sealer: both, actor: { id: null, name: 'a test' } }, id, {
        changes: { password: `new ${id}` },
      })
  }
  const deleting = sql.query('delete from remote where id = $1', [gone])
  await Promise.all([resealRemotes(db, both, log), resealRemotes(db, both, log), change(), deleting])
  const alone = createSealer(key)
  for (const id of ids) expect(await secretOf(alone, id, 'password')).toBe(`new ${id}`)
  await sql.query('delete from remote')
})

test('a secret that is changed between reading and writing keeps the change', async () => {
  const [oldKey, key] = [newKey(), newKey()]
  const [old, both] = [createSealer(oldKey), createSealer(key, oldKey)]
  const id = await insert(old, { token: 'before' })
  let isFirst = true
  const query: Database['query'] = async (text, values) => {
    // By a replica that still has the previous key: what it wrote has to be sealed anew in turn.
    if (isFirst && text.startsWith('update')) {
      isFirst = false
      await updateRemote({ db, sealer: old, actor: { id: null, name: 'a test' } }, id, { changes: { token: 'after' } })
    }
    return db.query(text, values)
  }
  expect(await resealRemotes({ ...db, query }, both, log)).toEqual({ resealed: 1, unreadable: [] })
  expect(await secretOf(createSealer(key), id, 'token')).toBe('after')
  await sql.query('delete from remote')
})

test('what no key opens stays as it is and is named', async () => {
  const [lost, oldKey, key] = [newKey(), newKey(), newKey()]
  const id = await insert(createSealer(lost), { token: 'who-knows' })
  const other = await insert(createSealer(oldKey), { token: 'known' })
  expect(await resealRemotes(db, createSealer(key, oldKey), log)).toEqual({ resealed: 1, unreadable: [id] })
  expect(await secretOf(createSealer(lost), id, 'token')).toBe('who-knows')
  expect(await secretOf(createSealer(key), other, 'token')).toBe('known')
})

test('it can be asked for by the API', async () => {
  const answer = await fetch(`${sync.url}/api/v1/remotes/rotate-keys`, {
    method: 'POST',
    headers: { authorization: sync.authorization },
  })
  expect(answer.status).toBe(200)
  expect(await answer.json()).toMatchObject({ resealed: expect.any(Number), unreadable: expect.any(Array) })
})
