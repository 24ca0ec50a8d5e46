import { createHmac, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { createTokenCheck } from '@berth/tokens'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import jwt from 'jsonwebtoken'
import pg from 'pg'
import request from 'supertest'
import { type StartedAuth, startAuth } from './testing/started.fixture.ts'

const password = 'the password of the admin'
let database: TestDatabase
let auth: StartedAuth
let sql: pg.Client

beforeAll(async () => {
  database = await makeDatabase()
  auth = await startAuth(database.url, { adminPassword: password })
  sql = new pg.Client({ connectionString: database.url, options: '-c search_path=auth' })
  await sql.connect()
  await request(auth.url)
    .post('/api/v1/users')
    .auth('admin', password)
    .send({ name: 'ann', password: 'ann has this one' })
    .expect(201)
})
afterAll(async () => {
  await sql?.end()
  await auth?.stop()
  await database?.drop()
})

async function verify(token: string) {
  return createTokenCheck((await auth.auth.call('list-keys', {})).keys).verify(token)
}

test('GET gives a token of what was asked, from repeated and from joined scopes', async () => {
  const { body } = await request(auth.url)
    .get(
      '/token?service=berth&scope=repository:a/b:pull,push&scope=repository:c:pull%20registry:catalog:*&client_id=docker',
    )
    .auth('admin', password)
    .expect(200)
    .expect('cache-control', 'no-store')
  expect(body).toMatchObject({ token: body.access_token, expires_in: 240 })
  expect(Date.parse(body.issued_at)).not.toBeNaN()
  expect(body).not.toHaveProperty('refresh_token')
  expect(await verify(body.token)).toMatchObject({
    account: { name: 'admin' },
    admin: true,
    access: [
      { type: 'repository', name: 'a/b', actions: ['pull', 'push'] },
      { type: 'repository', name: 'c', actions: ['pull'] },
      { type: 'registry', name: 'catalog', actions: ['*'] },
    ],
  })
  const { header, payload } = jwt.decode(body.token, { complete: true }) as jwt.Jwt
  expect(header).toMatchObject({ alg: 'ES256', kid: expect.any(String) })
  expect(payload).toMatchObject({ iss: 'berth-auth', aud: 'berth', typ: 'access', jti: expect.any(String) })
})

test('who may less gets less, and no error', async () => {
  const scope = 'repository:a/b:pull,push'
  const ann = await request(auth.url).get('/token').query({ scope }).auth('ann', 'ann has this one').expect(200)
  expect(await verify(ann.body.token)).toMatchObject({ account: { name: 'ann' }, admin: false, access: [] })
  const anonymous = await request(auth.url).get('/token').query({ scope, offline_token: 'true' }).expect(200)
  const nobody = await verify(anonymous.body.token)
  expect(nobody).toMatchObject({ admin: false, access: [] })
  expect(nobody).not.toHaveProperty('account')
  expect(anonymous.body).not.toHaveProperty('refresh_token')
})

test('an empty name and password are no login: the token is an anonymous one, and the API asks for one', async () => {
  for (const authorization of ['Basic Og==', 'Basic', 'Bearer ']) {
    const { body } = await request(auth.url).get('/token').set('authorization', authorization).expect(200)
    expect(await verify(body.token)).not.toHaveProperty('account')
    const { body: problem } = await request(auth.url)
      .get('/api/v1/users')
      .set('authorization', authorization)
      .expect(401)
    expect(problem.code).toBe('login_required')
  }
})

test('wrong credentials are 401 with an error that docker shows, for known and unknown users alike', async () => {
  for (const [name, word] of [
    ['admin', 'wrong'],
    ['nobody', 'wrong'],
    ['<token>', 'wrong'],
  ] as const) {
    const { body } = await request(auth.url)
      .get('/token')
      .auth(name, word)
      .expect(401)
      .expect('www-authenticate', /Basic/)
    expect(body.errors[0].code).toBe('UNAUTHORIZED')
  }
  await request(auth.url).get('/token').set('authorization', 'Nonsense').expect(401)
})

test('another service, another grant and a missing field are 400', async () => {
  await request(auth.url).get('/token?service=elsewhere').auth('admin', password).expect(400)
  const form = (fields: Record<string, string>) => request(auth.url).post('/token').type('form').send(fields)
  await form({ grant_type: 'magic' }).expect(400)
  await form({ grant_type: 'password', username: 'admin' }).expect(400)
  await form({ grant_type: 'password', username: 'admin', password: 'x'.repeat(70_000) }).expect(413)
  await request(auth.url).put('/token').expect(405)
})

test('POST gives a token for a password and for a refresh token, which GET and <token> take too', async () => {
  const first = await request(auth.url)
    .post('/token')
    .type('form')
    .send({
      grant_type: 'password',
      service: 'berth',
      client_id: 'x',
      scope: 'repository:a:pull repository:b:pull,push',
      access_type: 'offline',
      username: 'admin',
      password,
    })
    .expect(200)
  expect(first.body).toMatchObject({ scope: 'repository:a:pull repository:b:pull,push', expires_in: 240 })
  const refreshToken = first.body.refresh_token as string
  const again = await request(auth.url)
    .post('/token')
    .type('form')
    .send({
      grant_type: 'refresh_token',
      service: 'berth',
      client_id: 'x',
      scope: 'repository:a:pull',
      refresh_token: refreshToken,
    })
    .expect(200)
  expect(again.body).toMatchObject({ scope: 'repository:a:pull', refresh_token: refreshToken })
  expect(await verify(again.body.access_token)).toMatchObject({ account: { name: 'admin' } })
  await request(auth.url).get('/token').auth('<token>', refreshToken).expect(200)
  await request(auth.url).get('/token').set('authorization', `Bearer ${refreshToken}`).expect(401)
  const { rows } = await sql.query('select hash from refresh_token')
  expect(rows.some((row) => row.hash.toString().includes(refreshToken))).toBe(false)
})

test('of more than a hundred refresh tokens of an account the one unused for longest goes', async () => {
  await sql.query("delete from refresh_token where account = (select id from account where name = 'admin')")
  const token = async () =>
    (await request(auth.url).get('/token?offline_token=true').auth('admin', password).expect(200)).body
      .refresh_token as string
  const [first, second] = [await token(), await token()]
  for (let n = 2; n < 100; n++) await token()
  await request(auth.url).get('/token').auth('<token>', first).expect(200)
  await token()
  await request(auth.url).get('/token').auth('<token>', first).expect(200)
  await request(auth.url).get('/token').auth('<token>', second).expect(401)
})

test('a refresh token and an access token open nothing once the password has changed', async () => {
  const name = 'bob'
  await request(auth.url)
    .post('/api/v1/users')
    .auth('admin', password)
    .send({ name, password: 'it was before' })
    .expect(201)
  const { body } = await request(auth.url).get('/token?offline_token=true').auth(name, 'it was before').expect(200)
  await request(auth.url)
    .get('/api/v1/me')
    .set('authorization', `Bearer ${body.token}`)
    .expect(200, { name, admin: false })
  const change = { password: 'it comes after', currentPassword: 'it was before' }
  await request(auth.url)
    .patch('/api/v1/me')
    .auth(name, 'it was before')
    .send({ ...change, currentPassword: 'not it' })
    .expect(403)
  await request(auth.url).patch('/api/v1/me').auth(name, 'it was before').send(change).expect(200)
  await request(auth.url).get('/api/v1/me').set('authorization', `Bearer ${body.token}`).expect(401)
  await request(auth.url).get('/api/v1/me').auth(name, 'it was before').expect(401)
  await request(auth.url).get('/token').auth('<token>', body.refresh_token).expect(401)
  await request(auth.url).get('/api/v1/me').auth(name, 'it comes after').expect(200)
})

test('a forged token is refused, whatever it says of itself', async () => {
  const { body } = await request(auth.url).get('/token').auth('admin', password).expect(200)
  const good = jwt.decode(body.token, { complete: true }) as jwt.Jwt
  const { keys } = await auth.auth.call('list-keys', {})
  const published = keys.find((key) => key.kid === good.header.kid)
  if (!published) throw new Error('the signing key is not published')
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const claims = good.payload as jwt.JwtPayload
  const sign = (header: object, payload: object = claims) =>
    jwt.sign(payload, own.privateKey, { algorithm: 'ES256', header: { alg: 'ES256', kid: published.kid, ...header } })
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const pem = createPublicKey({ key: published, format: 'jwk' }).export({ format: 'pem', type: 'spki' })
  const hmacInput = `${part({ alg: 'HS256', typ: 'JWT', kid: published.kid })}.${part(claims)}`
  const [head, , signature] = body.token.split('.') as [string, string, string]
  const forged = {
    'alg none': `${part({ alg: 'none', kid: published.kid })}.${part(claims)}.`,
    'HS256 with the public key': `${hmacInput}.${createHmac('sha256', pem).update(hmacInput).digest('base64url')}`,
    'another key under our kid': sign({}),
    'an embedded jwk': sign({ kid: undefined, jwk: own.publicKey.export({ format: 'jwk' }) }),
    'a kid that is a path': sign({ kid: '../../' }),
    'a kid that is SQL': sign({ kid: "' or 1=1 --" }),
    'other claims under our signature': `${head}.${part({ ...claims, admin: true, sub: 'ann' })}.${signature}`,
    'a megabyte': 'x'.repeat(15_000),
    'no token': 'a.b.c',
  }
  const wrong: string[] = []
  for (const [what, token] of Object.entries(forged)) {
    const reply = await request(auth.url).get('/api/v1/me').set('authorization', `Bearer ${token}`)
    if (reply.status !== 401) wrong.push(what)
    if ((await verify(token)) !== undefined) wrong.push(`${what} (check)`)
  }
  expect(wrong).toEqual([])
})

test('a token of our own key that has expired, never does, or lives too long is refused', async () => {
  const own = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = { ...own.publicKey.export({ format: 'jwk' }), kid: 'k', use: 'sig', alg: 'ES256' } as never
  const check = createTokenCheck([jwk])
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    iss: 'berth-auth',
    aud: 'berth',
    sub: '00000000-0000-4000-8000-000000000001',
    name: 'ann',
    epoch: 0,
    typ: 'access',
    iat: now,
    nbf: now,
    exp: now + 300,
    access: [],
  }
  const sign = (change: object) =>
    jwt.sign({ ...claims, ...change }, own.privateKey, { algorithm: 'ES256', keyid: 'k' })
  expect(check.verify(sign({}))).toMatchObject({ account: { name: 'ann' } })
  expect(check.verify(sign({ iat: now - 400, nbf: now - 400, exp: now - 61 }))).toBeUndefined()
  expect(check.verify(sign({ exp: now + 601 }))).toBeUndefined()
  const { exp: _end, ...endless } = claims
  expect(check.verify(jwt.sign(endless, own.privateKey, { algorithm: 'ES256', keyid: 'k' }))).toBeUndefined()
  expect(check.verify(sign({ nbf: now + 120 }))).toBeUndefined()
  expect(check.verify(sign({ aud: 'elsewhere' }))).toBeUndefined()
  expect(check.verify(sign({ iss: 'elsewhere' }))).toBeUndefined()
  expect(check.verify(sign({ typ: 'refresh' }))).toBeUndefined()
})

test('after a rotation tokens of both keys are good, and the new key was published before', async () => {
  const before = (await request(auth.url).get('/token').auth('admin', password)).body.token as string
  const published = (await auth.auth.call('list-keys', {})).keys
  expect((await request(auth.url).get('/api/v1/keys').expect(200)).body).toEqual({ keys: published })
  const rotated = await request(auth.url).post('/api/v1/keys/rotate').auth('admin', password).expect(200)
  expect(published.map((key) => key.kid)).toContain(rotated.body.kid)
  const after = (await request(auth.url).get('/token').auth('admin', password)).body.token as string
  expect(jwt.decode(after, { complete: true })?.header.kid).toBe(rotated.body.kid)
  // Verifiers that have not asked again since before the rotation know the new key, and those that have know the old one.
  expect(createTokenCheck(published).verify(after)).toBeDefined()
  expect(await verify(before)).toBeDefined()
  await request(auth.url).get('/api/v1/me').set('authorization', `Bearer ${before}`).expect(200)
  await request(auth.url).post('/api/v1/keys/rotate').auth('admin', password).expect(409).expect('retry-after', /^\d+$/)
  const { rows } = await sql.query("select event from outbox where event ->> 'type' = 'dev.berth.auth.key.rotated.v1'")
  expect(rows.map((row) => row.event.data.kid)).toEqual([rotated.body.kid])
  await sql.query("update signing_key set retired_at = now() - interval '16 minutes' where state = 'retired'")
  expect(await verify(before)).toBeUndefined()
})
