import { randomBytes } from 'node:crypto'
import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { hash } from '@node-rs/argon2'
import pg from 'pg'
import request from 'supertest'
import { type StartedAuth, startAuth } from './testing/started.fixture.ts'

let database: TestDatabase
const started: StartedAuth[] = []

beforeEach(async () => {
  database = await makeDatabase()
})
afterEach(async () => {
  await Promise.all(started.splice(0).map((auth) => auth.stop()))
  await database.drop()
})

async function start(more: Parameters<typeof startAuth>[1] = {}): Promise<StartedAuth> {
  const auth = await startAuth(database.url, more)
  started.push(auth)
  return auth
}

async function query(text: string) {
  const client = new pg.Client({ connectionString: database.url, options: '-c search_path=auth' })
  await client.connect()
  try {
    return (await client.query(text)).rows
  } finally {
    await client.end()
  }
}

test('replicas that start together for the first time make one admin, with one password that is told once', async () => {
  const replicas = await Promise.all([start(), start(), start()])
  const passwords = replicas.map((auth) => auth.service.firstPassword()).filter((word) => word !== undefined)
  expect(passwords).toHaveLength(1)
  expect(passwords[0]?.length).toBeGreaterThanOrEqual(24)
  expect(replicas.map((auth) => auth.service.firstPassword())).toEqual([undefined, undefined, undefined])
  for (const { url } of replicas)
    await request(url).get('/api/v1/me').auth('admin', String(passwords[0])).expect(200, { name: 'admin', admin: true })
  expect(await query('select state from signing_key order by state')).toEqual([{ state: 'next' }, { state: 'signing' }])
  expect(await query("select event -> 'data' ->> 'name' as name from outbox")).toEqual([{ name: 'admin' }])
})

test('the password that was made is to be changed before a browser is let in, and one that was given is not', async () => {
  const auth = await start()
  const made = { name: 'admin', password: auth.service.firstPassword() ?? '' }
  const { body } = await request(auth.url).post('/api/v1/sessions').send(made).expect(403)
  expect(body.code).toBe('password_change_required')
  const own = { name: 'admin', password: 'chosen by the admin' }
  const change = { password: own.password, currentPassword: made.password }
  await request(auth.url).patch('/api/v1/me').auth('admin', made.password).send(change).expect(200)
  await request(auth.url).post('/api/v1/sessions').send(own).expect(201)
  const given = { name: 'admin', password: 'given by the variable' }
  const again = await start({ adminPassword: given.password })
  await request(again.url).post('/api/v1/sessions').send(given).expect(201)
})

test('a first password that was given makes the account, is to be changed, and has no effect later', async () => {
  const first = { name: 'admin', password: 'from a file of secrets' }
  const auth = await start({ adminFirstPassword: first.password })
  expect(auth.service.firstPassword()).toBeUndefined()
  await request(auth.url).post('/api/v1/sessions').send(first).expect(403)
  const change = { password: 'chosen by the admin', currentPassword: first.password }
  await request(auth.url).patch('/api/v1/me').auth('admin', first.password).send(change).expect(200)
  const again = await start({ adminFirstPassword: first.password })
  await request(again.url).get('/api/v1/me').auth('admin', first.password).expect(401)
  await request(again.url).get('/api/v1/me').auth('admin', change.password).expect(200)
})

test('passwords are kept as argon2id of 19 MiB and nothing else, private keys sealed', async () => {
  const password = (await start()).service.firstPassword() ?? ''
  const [account] = await query('select password_hash from account')
  expect(account.password_hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  const tables = JSON.stringify(await query('select row_to_json(account) as row from account'))
  expect(tables).not.toContain(password)
  const keys = await query('select sealed_private_key as sealed from signing_key')
  // In the clear it would be PEM.
  for (const { sealed } of keys) expect(sealed.includes('PRIVATE KEY')).toBe(false)
})

test('a later start tells no password and keeps accounts and keys', async () => {
  const first = await start()
  const password = first.service.firstPassword() ?? ''
  const { body } = await request(first.url).get('/token').auth('admin', password).expect(200)
  const second = await start()
  expect(second.service.firstPassword()).toBeUndefined()
  await request(second.url).get('/api/v1/me').set('authorization', `Bearer ${body.token}`).expect(200)
})

test('BERTH_ADMIN_PASSWORD is the password from the next start on', async () => {
  const first = await start()
  const generated = first.service.firstPassword() ?? ''
  await request(first.url).get('/api/v1/me').auth('admin', generated).expect(200)
  const second = await start({ adminPassword: 'chosen by hand' })
  expect(second.service.firstPassword()).toBeUndefined()
  await request(second.url).get('/api/v1/me').auth('admin', 'chosen by hand').expect(200)
  await request(first.url).get('/api/v1/me').auth('admin', generated).expect(401)
})

test('BERTH_ADMIN_PASSWORD brings a deleted admin back only when no administrator is left', async () => {
  const first = await start({ adminPassword: 'chosen by hand' })
  const asAdmin = request(first.url).post('/api/v1/users').auth('admin', 'chosen by hand')
  await asAdmin.send({ name: 'olga', password: 'olga administers', admin: true }).expect(201)
  await request(first.url).delete('/api/v1/users/admin').auth('olga', 'olga administers').expect(204)
  const second = await start({ adminPassword: 'chosen by hand' })
  await request(second.url).get('/api/v1/me').auth('admin', 'chosen by hand').expect(401)
  // By no door of Berth, but somebody may have done it in the database.
  await query("update account set is_admin = false where name = 'olga'")
  const third = await start({ adminPassword: 'chosen by hand' })
  await request(third.url).get('/api/v1/me').auth('admin', 'chosen by hand').expect(200, { name: 'admin', admin: true })
})

test('an administrator sets the password of another user, which ends what was issued before; others do not', async () => {
  const { url } = await start({ adminPassword: 'chosen by hand' })
  for (const name of ['olga', 'otto'])
    await request(url)
      .post('/api/v1/users')
      .auth('admin', 'chosen by hand')
      .send({ name, password: `${name} forgets it` })
  const { body } = await request(url).get('/token').auth('olga', 'olga forgets it').expect(200)
  const set = (as: string, password: string) =>
    request(url).patch('/api/v1/users/olga').auth(as, password).send({ password: 'a new one for olga' })
  await set('otto', 'otto forgets it').expect(403)
  await set('olga', 'olga forgets it').expect(403)
  await set('admin', 'chosen by hand').expect(200)
  await request(url).get('/api/v1/me').auth('olga', 'a new one for olga').expect(200)
  await request(url).get('/api/v1/me').auth('olga', 'olga forgets it').expect(401)
  await request(url).get('/api/v1/me').set('authorization', `Bearer ${body.token}`).expect(401)
})

test('another BERTH_SECRETS_KEY than the keys were sealed with is told at the start', async () => {
  await start()
  await expect(start({ secretsKey: randomBytes(32).toString('hex') })).rejects.toThrow(/BERTH_SECRETS_KEY/)
  await expect(start({ secretsKey: 'short' })).rejects.toThrow(/32 bytes/)
})

test('after a rotation of BERTH_SECRETS_KEY the previous one is needed for one start only', async () => {
  const [old, key] = [randomBytes(32).toString('hex'), randomBytes(32).toString('hex')]
  const first = await start({ secretsKey: old, adminPassword: 'chosen by hand' })
  const { body } = await request(first.url).get('/token').auth('admin', 'chosen by hand').expect(200)
  await start({ secretsKey: key, secretsPreviousKeys: old })
  const third = await start({ secretsKey: key })
  await request(third.url).get('/api/v1/me').set('authorization', `Bearer ${body.token}`).expect(200)
  await expect(start({ secretsKey: old })).rejects.toThrow(/BERTH_SECRETS_KEY/)
})

test('a new password of fewer than 12 characters stops the start, and one that is stored already does not', async () => {
  await expect(start({ adminPassword: 'eleven char' })).rejects.toThrow('fewer than 12 characters')
  await start({ adminPassword: 'a long enough one' })
  await expect(start({ adminPassword: 'eleven char' })).rejects.toThrow('fewer than 12 characters')
  // Of an earlier release, which took shorter ones.
  await query(`update account set password_hash = '${await hash('eleven char')}'`)
  const { url } = await start({ adminPassword: 'eleven char' })
  await request(url).get('/api/v1/me').auth('admin', 'eleven char').expect(200)
})
