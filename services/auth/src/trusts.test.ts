import { createHmac } from 'node:crypto'
import { createTokenCheck } from '@berth/tokens'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import request from 'supertest'
import { newKey, startIssuer, type TestIssuer } from './testing/issuer.fixture.ts'
import { type People, startPeople } from './testing/people.fixture.ts'

let people: People
let issuer: TestIssuer
const audience = 'https://berth.example.com'
const open = { allowPrivateAddresses: true, allowHttp: true }
const grantType = 'urn:ietf:params:oauth:grant-type:token-exchange'
const idToken = 'urn:ietf:params:oauth:token-type:id_token'
const now = () => Math.floor(Date.now() / 1000)
const hour = 3_600

beforeAll(async () => {
  ;[people, issuer] = await Promise.all([startPeople('ann'), startIssuer()])
  for (const name of ['ci', 'cd']) await people.make('/robots', { name, namespace: 'team' })
  await people.grant({ robot: 'team/ci' }, 'pusher', 'namespace:team')
  await people.make('/trusts', trustOf('main-job', { claims: { sub: 'job:*', project: 'p1' } }))
}, 60_000)
beforeEach(() => issuer.behave({}))
afterAll(async () => {
  await issuer?.stop()
  await people?.stop()
})

const trustOf = (name: string, more: object = {}) => ({
  name,
  issuer: issuer.url,
  audience,
  claims: { sub: `job:${name}` },
  robot: 'team/ci',
  ...open,
  ...more,
})
const claimsOf = (more: object = {}) => ({
  iss: issuer.url,
  aud: audience,
  sub: 'job:7',
  project: 'p1',
  iat: now(),
  exp: now() + hour,
  ...more,
})
const sign = (more: object = {}) => issuer.sign(claimsOf(more))
const exchange = (token: string, more: object = {}) =>
  request(people.url)
    .post('/token/exchange')
    .type('form')
    .send({ grant_type: grantType, subject_token: token, subject_token_type: idToken, ...more })
const verify = async (token: string) => createTokenCheck((await people.auth.call('list-keys', {})).keys).verify(token)

test('a job exchanges its token for one of its robot, which opens the API', async () => {
  const { body, headers } = await exchange(await sign()).expect(200)
  expect(body).toEqual({
    access_token: expect.any(String),
    issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    token_type: 'Bearer',
    expires_in: 240,
  })
  expect(headers['cache-control']).toBe('no-store')
  const me = await request(people.url).get('/api/v1/me').set('authorization', `Bearer ${body.access_token}`).expect(200)
  expect(me.body).toEqual({ name: 'team/ci', admin: false })
  const { lastUsedAt } = (await people.ask('admin', 'get', '/trusts/main-job').expect(200)).body
  expect(lastUsedAt).toEqual(expect.any(String))
})

test('with scopes it is for what is granted of these, and nothing else that the robot may', async () => {
  const scope = 'repository:team/app:pull,push repository:other/app:pull'
  const { body } = await exchange(await sign(), { scope }).expect(200)
  expect(body.scope).toBe('repository:team/app:pull,push')
  expect(await verify(body.access_token)).toMatchObject({ api: false, isLimited: true, admin: false })
  await request(people.url).get('/api/v1/me').set('authorization', `Bearer ${body.access_token}`).expect(401)
})

test('the token is the docker password that goes with the name of the trust, by GET, by POST and by Basic', async () => {
  const password = await sign()
  const asDocker = { name: 'main-job', password }
  expect(await people.granted(asDocker, 'repository:team/app:pull,push')).toBe('repository:team/app:pull,push')
  const form = {
    grant_type: 'password',
    username: 'main-job',
    password,
    scope: 'repository:team/app:pull',
    access_type: 'offline',
  }
  const { body } = await request(people.url).post('/token').type('form').send(form).expect(200)
  expect(body.scope).toBe('repository:team/app:pull')
  expect(body).not.toHaveProperty('refresh_token')
  expect((await people.ask(asDocker, 'get', '/me').expect(200)).body.name).toBe('team/ci')
  for (const name of ['ann', 'team/ci', 'none', 'admin']) await people.ask({ name, password }, 'get', '/me').expect(401)
  await people.ask(asDocker, 'post', '/me/tokens', { name: 'mine' }).expect(403)
})

test('what is issued for it ends with it', async () => {
  const token = await sign({ exp: now() + 20 })
  const { body } = await exchange(token).expect(200)
  expect(body.expires_in).toBeLessThanOrEqual(20)
  const got = await request(people.url).get('/token').auth('main-job', token).expect(200)
  expect(got.body.expires_in).toBeLessThanOrEqual(20)
})

test('an audience among several is enough', async () => {
  await exchange(await sign({ aud: ['https://other.example', audience] })).expect(200)
})

describe('a token is refused, at both doors,', () => {
  const base64 = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  test.each<[string, () => Promise<string> | string, RegExp]>([
    ['that is signed by another key', async () => issuer.sign(claimsOf(), await newKey('one')), /signature/],
    ['that is signed by a key nobody published', async () => issuer.sign(claimsOf(), await newKey('two')), /key/],
    ['without a signature', () => `${base64({ alg: 'none' })}.${base64(claimsOf())}.`, /no token/],
    [
      'that is signed by what is public',
      () => {
        const text = `${base64({ alg: 'HS256', kid: 'one' })}.${base64(claimsOf())}`
        return `${text}.${createHmac('sha256', JSON.stringify(issuer.key.jwk)).update(text).digest('base64url')}`
      },
      /way/,
    ],
    ['of another issuer', () => sign({ iss: 'https://other.example' }), /issuer/],
    ['of an issuer that is no text', () => sign({ iss: 7 }), /no token/],
    ['for another audience', () => sign({ aud: 'https://other.example' }), /audience/],
    ['for none', () => sign({ aud: undefined }), /audience/],
    ['without an end', () => sign({ exp: undefined }), /exp/],
    ['with an end that is no number', () => sign({ exp: 'never' }), /exp/],
    ['that has expired', () => sign({ exp: now() - 60 }), /expired/],
    ['that is not good yet', () => sign({ nbf: now() + 600 }), /nbf/],
    ['that lives for longer than a day', () => sign({ exp: now() + 25 * hour }), /24 hours/],
    ['that lived for long already', () => sign({ iat: now() - 24 * hour, exp: now() + hour }), /24 hours/],
    [
      'that does not say since when, and lives for long',
      () => sign({ iat: undefined, exp: now() + 25 * hour }),
      /24 hours/,
    ],
    ['of another project', () => sign({ project: 'p2' }), /conditions/],
    ['of a project that is a list', () => sign({ project: ['p1'] }), /conditions/],
    ['without its project', () => sign({ project: undefined }), /conditions/],
    ['of another job', () => sign({ sub: 'other:7' }), /conditions/],
    ['that is none', () => 'eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOjF9.AAAA', /no token/],
    ['of an issuer that no text names', () => sign({ iss: 'a\0b' }), /no token/],
    ['that is 9 KB', () => sign({ more: 'x'.repeat(9_000) }), /no token/],
    ['of a kind that needs an id', () => sign({ repository_owner: 'team' }), /conditions/],
  ])('%s', async (_what, make, why) => {
    const token = await make()
    const { body } = await exchange(token).expect(400)
    expect(body).toEqual({ error: 'invalid_request', error_description: expect.stringMatching(why) })
    await request(people.url).get('/token').auth('main-job', token).expect(401)
  })

  test('and whoever has no signature learns nothing of conditions', async () => {
    const forged = await newKey('one')
    const answers = new Set<string>()
    for (const more of [{}, { project: 'p2' }, { sub: 'x' }])
      answers.add((await exchange(await issuer.sign(claimsOf(more), forged)).expect(400)).text)
    expect(answers.size).toBe(1)
  })
})

test.each<[string, object, string]>([
  ['another grant', { grant_type: 'password' }, 'unsupported_grant_type'],
  ['no grant', { grant_type: '' }, 'invalid_request'],
  ['no token', { subject_token: '' }, 'invalid_request'],
  ['another kind of token', { subject_token_type: 'urn:ietf:params:oauth:token-type:saml2' }, 'invalid_request'],
  ['another kind wanted', { requested_token_type: idToken }, 'invalid_request'],
  ['somebody who acts', { actor_token: 'x' }, 'invalid_request'],
  ['a parameter twice', { scope: ['a', 'b'] }, 'invalid_request'],
  ['a trust that is none', { client_id: 'no\u2028such"trust' }, 'invalid_request'],
  ['a trust that no text names', { client_id: 'a\0b' }, 'invalid_request'],
])('an exchange with %s is refused as OAuth has it', async (_what, more, error) => {
  const { body } = await exchange(await sign(), more).expect(400)
  expect(body).toEqual({ error, error_description: expect.stringMatching(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/) })
})

test('an exchange by another verb, or with a form that is too large, is refused', async () => {
  await request(people.url).get('/token/exchange').expect(405)
  await exchange('x'.repeat(70_000)).expect(413)
  expect((await request(people.url).post('/token/exchange').send({}).expect(400)).body.error).toBe('invalid_request')
})

test('of two trusts that take a token the name decides, and without one it is refused', async () => {
  await people.make('/trusts', trustOf('again', { claims: { project: 'p1' }, robot: 'team/cd' }))
  const { body } = await exchange(await sign()).expect(400)
  expect(body.error_description).toContain('client_id')
  for (const [name, robot] of [
    ['main-job', 'team/ci'],
    ['again', 'team/cd'],
  ]) {
    const { access_token: token } = (await exchange(await sign(), { client_id: name }).expect(200)).body
    const me = await request(people.url).get('/api/v1/me').set('authorization', `Bearer ${token}`).expect(200)
    expect(me.body.name).toBe(robot)
  }
  const { access_token: issued } = (await exchange(await sign(), { client_id: 'again' }).expect(200)).body
  await people.ask('admin', 'delete', '/trusts/again').expect(204)
  await request(people.url).get('/api/v1/me').set('authorization', `Bearer ${issued}`).expect(401)
  await exchange(await sign(), { client_id: 'again' }).expect(400)
  await exchange(await sign()).expect(200)
})

test('what was issued for what a trust takes no more ends at the API at once', async () => {
  await people.make('/robots', { name: 'narrowed' })
  await people.make('/trusts', trustOf('narrow', { robot: 'narrowed' }))
  const token = await sign({ sub: 'job:narrow' })
  const { body } = await exchange(token, { client_id: 'narrow' }).expect(200)
  const me = () => request(people.url).get('/api/v1/me').set('authorization', `Bearer ${body.access_token}`)
  await me().expect(200)
  await people.ask('admin', 'patch', '/trusts/narrow', { claims: { sub: 'job:another' } }).expect(200)
  await me().expect(401)
  await exchange(token, { client_id: 'narrow' }).expect(400)
})

test('a robot that has ended, or is deleted, ends its trusts', async () => {
  await people.make('/robots', { name: 'short' })
  await people.make('/trusts', trustOf('short-lived', { robot: 'short' }))
  const token = await sign({ sub: 'job:short-lived' })
  const docker = () => request(people.url).get('/token').auth('short-lived', token)
  await docker().expect(200)
  const { body } = await exchange(token, { client_id: 'short-lived' }).expect(200)
  await people.db.query("update robot set expires_at = now() where name = 'short'")
  await docker().expect(401)
  await exchange(token, { client_id: 'short-lived' }).expect(400)
  await request(people.url).get('/api/v1/me').set('authorization', `Bearer ${body.access_token}`).expect(401)
  await people.ask('admin', 'delete', '/robots/short').expect(204)
  await people.ask('admin', 'get', '/trusts/short-lived').expect(404)
})

describe('the keys of an issuer', () => {
  test('are remembered: one that is away or hangs breaks no job', async () => {
    await exchange(await sign()).expect(200)
    for (const all of [() => undefined, (_request: unknown, response: { destroy(): void }) => response.destroy()]) {
      issuer.behave({ all })
      await exchange(await sign()).expect(200)
    }
  })

  test('that are new are fetched at once, but not for each token that names one', async () => {
    const own = await startIssuer()
    try {
      await people.make('/trusts', trustOf('rotating', { issuer: own.url, claims: { sub: 'x' } }))
      const ask = async (key = own.key) =>
        (await exchange(await own.sign(claimsOf({ iss: own.url, sub: 'x' }), key))).status
      expect(await ask()).toBe(200)
      await own.rotate()
      expect(await ask()).toBe(200)
      const asked = own.seen.length
      for (let n = 0; n < 5; n++) expect(await ask(await newKey(`unknown-${n}`))).toBe(400)
      expect(own.seen.length).toBe(asked)
    } finally {
      await own.stop()
    }
  })

  test('that cannot be had are told as the trouble of the issuer, in time', async () => {
    const away = await startIssuer()
    try {
      away.behave({ all: () => undefined })
      await people.make('/trusts', trustOf('hanging', { issuer: away.url, claims: { sub: 'x' } }))
      const token = await away.sign({ iss: away.url, aud: audience, sub: 'x', exp: now() + 60 })
      const exchanged = await exchange(token).expect(503)
      expect(exchanged.body.error).toBe('temporarily_unavailable')
      expect(exchanged.headers['retry-after']).toBeDefined()
      await request(people.url).get('/token').auth('hanging', token).expect(503)
    } finally {
      await away.stop()
    }
  })

  test('that are pasted are enough for an issuer that nobody reaches', async () => {
    const key = await newKey('pasted')
    const cluster = 'https://kubernetes.default.svc.cluster.local'
    const namespace = { 'kubernetes.io/namespace': 'team' }
    const jwks = { keys: [key.jwk] }
    const wanted = { issuer: cluster, claims: namespace, jwks, allowPrivateAddresses: false, allowHttp: false }
    await people.make('/trusts', trustOf('cluster', wanted))
    const said = { iss: cluster, sub: 'system:serviceaccount:team:ci', 'kubernetes.io': { namespace: 'team' } }
    const token = await issuer.sign(claimsOf(said), key)
    expect(await people.granted({ name: 'cluster', password: token }, 'repository:team/app:pull')).toBe(
      'repository:team/app:pull',
    )
    const elsewhere = await issuer.sign(claimsOf({ ...said, 'kubernetes.io': { namespace: 'other' } }), key)
    await request(people.url).get('/token').auth('cluster', elsewhere).expect(401)
    const other = await newKey('of another cluster')
    const otherKeys = { keys: [other.jwk, (await newKey('its next')).jwk] }
    await people.make('/trusts', trustOf('other-cluster', { ...wanted, jwks: otherKeys, robot: 'team/cd' }))
    for (const [by, status] of [
      [key, 200],
      [other, 200],
      [await newKey('of none'), 400],
    ] as const)
      await exchange(await issuer.sign(claimsOf(said), by)).expect(status)
  })
})
