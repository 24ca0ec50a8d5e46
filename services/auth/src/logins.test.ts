import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { hash, verify } from '@node-rs/argon2'
import pg from 'pg'
import request from 'supertest'
import { type StartedAuth, startAuth } from './testing/started.fixture.ts'

const password = 'the password of the admin'
let database: TestDatabase
let one: StartedAuth
let other: StartedAuth
let sql: pg.Client

beforeAll(async () => {
  database = await makeDatabase()
  ;[one, other] = await Promise.all([
    startAuth(database.url, { adminPassword: password }),
    startAuth(database.url, { adminPassword: password }),
  ])
  sql = new pg.Client({ connectionString: database.url, options: '-c search_path=auth' })
  await sql.connect()
})
afterAll(async () => {
  await sql?.end()
  await Promise.all([one?.stop(), other?.stop()])
  await database?.drop()
})

const asAdmin = (method: 'get' | 'post' | 'delete', path: string, replica = one) =>
  request(replica.url)[method](`/api/v1${path}`).auth('admin', password)

async function makeUser(name: string, more: object = {}): Promise<string> {
  const { body } = await asAdmin('post', '/users')
    .send({ name, password: `${name} has one`, ...more })
    .expect(201)
  return body.id
}

const basic = (name: string, word: string) => `Basic ${Buffer.from(`${name}:${word}`).toString('base64')}`

test('guesses are stopped after ten, on every replica, and the owner elsewhere is not', async () => {
  await makeUser('cleo')
  const guess = (replica: StartedAuth, ip: string, word = 'wrong') =>
    replica.auth.call('identify', { authorization: basic('cleo', word), ip })
  for (let n = 0; n < 10; n++) expect(await guess(n % 2 ? one : other, '192.0.2.1')).toEqual({ principal: null })
  const refused = {
    status: 429,
    code: 'too_many_attempts',
    options: { headers: { 'retry-after': expect.any(String) } },
  }
  await expect(guess(one, '192.0.2.1')).rejects.toMatchObject(refused)
  await expect(guess(other, '192.0.2.1', 'cleo has one')).rejects.toMatchObject(refused)
  expect(await guess(one, '192.0.2.2', 'cleo has one')).toMatchObject({ principal: { name: 'cleo', admin: false } })
  const told = await sql.query(`select event -> 'data' as data from outbox where event ->> 'type' = $1`, [
    'dev.berth.auth.login.throttled.v1',
  ])
  const data = { limit: 'account', network: '192.0.2.1', failures: 10, seconds: 300 }
  expect('rows' in told ? told.rows : told).toEqual([{ data }])
  await sql.query("update login_attempt set at = at - interval '6 minutes'")
  expect(await guess(one, '192.0.2.1', 'cleo has one')).toMatchObject({ principal: { name: 'cleo' } })
})

test('a hundred guesses at once from one address are not more than its limit', async () => {
  const replies = await Promise.allSettled(
    Array.from({ length: 120 }, (_, n) =>
      (n % 2 ? one : other).auth.call('identify', { authorization: basic(`user-${n}`, 'wrong'), ip: '192.0.2.9' }),
    ),
  )
  expect(replies.filter((reply) => reply.status === 'fulfilled').length).toBe(100)
})

/** Failures that came from elsewhere, without the time that their hashes take. */
async function failures(count: number, { name = 'nobody', network = '', site = '' }): Promise<void> {
  await sql.query(
    'insert into login_attempt (id, name, network, site) select gen_random_uuid(), $2, $3, $4 from generate_series(1, $1)',
    [count, name, network, site],
  )
}

test('who logged in within a day gets in, however often others guess wrong beside it', async () => {
  await makeUser('ines')
  const login = (replica: StartedAuth, word: string) =>
    replica.auth.call('identify', { authorization: basic('ines', word), ip: '192.0.2.20' })
  const isIn = { principal: { name: 'ines', admin: false } }
  expect(await login(one, 'ines has one')).toMatchObject(isIn)
  await failures(3_000, { name: 'ines', network: '192.0.2.20', site: '192.0.2.20' })
  try {
    // The other replica has never seen this login.
    expect(await login(other, 'ines has one')).toMatchObject(isIn)
    await expect(login(other, 'wrong')).rejects.toMatchObject({ status: 429 })
    const changed = { password: 'ines has another', currentPassword: 'ines has one' }
    await request(one.url).patch('/api/v1/me').auth('ines', 'ines has one').send(changed).expect(200)
    for (const word of ['ines has one', 'ines has another'])
      await expect(login(one, word)).rejects.toMatchObject({ status: 429 })
  } finally {
    await sql.query('truncate login_attempt')
  }
})

test.each([
  ['a network of IPv6', 100, { network: '2001:db8:1:2::/64', site: '2001:db8:1::/48' }, '2001:db8:1:2::99'],
  ['a site of IPv6', 1_000, { network: '2001:db8:1:3::/64', site: '2001:db8:1::/48' }, '2001:db8:1:ffff::1'],
  ['everywhere', 3_000, { network: '192.0.2.30', site: '192.0.2.30' }, '198.51.100.1'],
])('failures from %s are limited to %d', async (_where, most, from, ip) => {
  await sql.query('truncate login_attempt')
  await failures(most - 1, from)
  const guess = () => one.auth.call('identify', { authorization: basic('somebody', 'wrong'), ip })
  try {
    expect(await guess()).toEqual({ principal: null })
    await expect(guess()).rejects.toMatchObject({ status: 429, code: 'too_many_attempts' })
  } finally {
    await sql.query('truncate login_attempt')
  }
})

test('the token endpoint says 429 with the time to wait', async () => {
  await makeUser('dora')
  for (let n = 0; n < 10; n++) await request(one.url).get('/token').auth('dora', 'wrong').expect(401)
  const { body } = await request(one.url).get('/token').auth('dora', 'wrong').expect(429).expect('retry-after', /^\d+$/)
  expect(body.errors[0].code).toBe('TOOMANYREQUESTS')
  await request(other.url).get('/api/v1/me').auth('dora', 'wrong').expect(429).expect('retry-after', /^\d+$/)
})

test('many logins of one account at once are no failures', async () => {
  await makeUser('emma')
  const logins = Array.from({ length: 40 }, () =>
    one.auth.call('identify', { authorization: basic('emma', 'emma has one'), ip: '192.0.2.5' }),
  )
  for (const reply of await Promise.all(logins)) expect(reply.principal?.name).toBe('emma')
})

test('an account that was deleted is out at once, on the replica that remembers its login too', async () => {
  const id = await makeUser('finn')
  await request(other.url).get('/api/v1/me').auth('finn', 'finn has one').expect(200)
  const { body } = await request(other.url).get('/token').auth('finn', 'finn has one').expect(200)
  await asAdmin('delete', `/users/${id}`).expect(204)
  await request(other.url).get('/api/v1/me').auth('finn', 'finn has one').expect(401)
  await request(other.url).get('/api/v1/me').set('authorization', `Bearer ${body.token}`).expect(401)
  await makeUser('finn')
  await request(other.url).get('/api/v1/me').set('authorization', `Bearer ${body.token}`).expect(401)
})

test('the last administrator stays, even when two delete each other', async () => {
  await asAdmin('delete', '/users/admin').expect(409)
  await makeUser('gina', { admin: true })
  const gone = await Promise.all([
    asAdmin('delete', '/users/gina'),
    request(other.url).delete('/api/v1/users/admin').auth('gina', 'gina has one'),
  ])
  expect(gone.map((reply) => reply.status).filter((status) => status === 204)).toHaveLength(1)
  const { rows } = await sql.query('select name from account where is_admin')
  expect(rows).toHaveLength(1)
  // The tests after this one need admin back.
  if (rows[0].name === 'gina') {
    await request(one.url)
      .post('/api/v1/users')
      .auth('gina', 'gina has one')
      .send({ name: 'admin', password, admin: true })
      .expect(201)
  }
})

test('only administrators reach accounts and keys', async () => {
  await makeUser('hans')
  const asHans = (method: 'get' | 'post', path: string) =>
    request(one.url)[method](`/api/v1${path}`).auth('hans', 'hans has one')
  await asHans('get', '/users').expect(403)
  await asHans('post', '/keys/rotate').expect(403)
  await request(one.url).get('/api/v1/users').expect(401)
  const { body } = await asAdmin('get', '/users?q=hans').expect(200)
  expect(body.items).toEqual([
    {
      id: expect.any(String),
      name: 'hans',
      admin: false,
      active: true,
      mustChangePassword: true,
      external: null,
      createdAt: expect.any(String),
    },
  ])
  await asAdmin('post', '/users').send({ name: 'hans', password: 'another long one' }).expect(409)
  await asAdmin('post', '/users').send({ name: '<token>', password: 'another long one' }).expect(400)
})

test('registry learns what Basic credentials allow', async () => {
  const wanted = [{ type: 'repository', name: 'a/b', actions: ['pull', 'push'] }]
  const ask = (authorization: string) => one.auth.call('decide-access', { authorization, ip: '192.0.2.7', wanted })
  expect(await ask(basic('admin', password))).toMatchObject({
    principal: { name: 'admin', admin: true },
    access: wanted,
  })
  expect(await ask(basic('hans', 'hans has one'))).toMatchObject({
    principal: { name: 'hans', admin: false },
    access: [],
  })
  expect(await ask(basic('admin', 'wrong'))).toEqual({ principal: null, access: [] })
})

test('a password that was hashed at another cost is hashed anew when it is known, and stays the same password', async () => {
  const id = await makeUser('rehashed')
  const old = await hash('rehashed has one', { memoryCost: 8_192, timeCost: 1, parallelism: 1 })
  await sql.query('update account set password_hash = $2 where id = $1', [id, old])
  const hashNow = async () =>
    (await sql.query('select password_hash from account where id = $1', [id])).rows[0].password_hash
  const logIn = (word: string) => one.auth.call('identify', { authorization: basic('rehashed', word), ip: '192.0.2.9' })
  expect(await logIn('wrong')).toEqual({ principal: null })
  expect(await hashNow()).toBe(old)
  expect(await logIn('rehashed has one')).toMatchObject({ principal: { name: 'rehashed' } })
  const renewed = await hashNow()
  expect(renewed).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
  expect(await verify(renewed, 'rehashed has one')).toBe(true)
})
