import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import request from 'supertest'
import { clientId, clientSecret, startIssuer, type TestIssuer } from './testing/issuer.fixture.ts'
import { type Browser, openBrowser } from './testing/oidc-browser.fixture.ts'
import { type People, startPeople } from './testing/people.fixture.ts'

let people: People
let issuer: TestIssuer
let other: TestIssuer
beforeAll(async () => {
  ;[people, issuer, other] = await Promise.all([startPeople('bob'), startIssuer(), startIssuer()])
  await people.make('/identity-providers', providerOf('corp', issuer.url))
  await people.make('/identity-providers', providerOf('other', other.url))
}, 60_000)
beforeEach(() => {
  for (const one of [issuer, other]) {
    one.behave({})
    one.says({})
  }
})
afterAll(async () => {
  await Promise.all([issuer?.stop(), other?.stop()])
  await people?.stop()
})

const open = { allowPrivateAddresses: true, allowHttp: true }
const providerOf = (name: string, url: string, more: object = {}) => ({
  name,
  issuer: url,
  clientId,
  clientSecret,
  ...open,
  ...more,
})

/** Goes to a provider, which lets somebody in, and comes back. */
async function logIn(browser: Browser, { name = 'corp', at = issuer, returnTo = '' } = {}) {
  const begun = await browser.get(
    `/api/v1/oidc/${name}/login${returnTo && `?returnTo=${encodeURIComponent(returnTo)}`}`,
  )
  if (begun.status !== 302) return begun
  return browser.get(`/api/v1/oidc/${name}/callback?${at.authorize(String(begun.headers.location))}`)
}
const browser = () => openBrowser(people.url)
const whoIs = async (one: Browser) => (await one.get('/api/v1/me')).body.name as string | undefined

describe('groups of a provider', () => {
  const members = async (name: string) => (await people.ask('admin', 'get', `/groups/${name}`)).body.members as string[]
  const loginAs = async (sub: string, groups: unknown) => {
    issuer.says({ sub, preferred_username: sub, groups })
    const one = browser()
    const { status, body } = await logIn(one)
    return { status, body, name: await whoIs(one) }
  }
  beforeAll(async () => {
    for (const value of ['dev', 'ops']) {
      const external = { provider: 'corp', value }
      const { body } = await people.ask('admin', 'post', '/groups', { name: `corp-${value}`, external }).expect(201)
      expect(body).toMatchObject({ external, members: [] })
    }
    await people.make('/groups', { name: 'by-hand', members: [] })
    await people.make('/groups', { name: 'of-other', external: { provider: 'other', value: 'dev' } })
    await people.grant({ group: 'corp-dev' }, 'puller', 'dev/*')
  })

  test('have those whom the last login named, and nobody else: replaced, and not appended', async () => {
    await loginAs('gina', ['dev', 'unknown'])
    await people.ask('admin', 'patch', '/groups/by-hand', { members: ['gina'] }).expect(200)
    expect([await members('corp-dev'), await members('corp-ops')]).toEqual([['gina'], []])
    await loginAs('gina', ['ops'])
    expect([await members('corp-dev'), await members('corp-ops')]).toEqual([[], ['gina']])
    for (const none of [undefined, [], 7, { dev: true }, [['dev'], 7, null]]) {
      await loginAs('gina', ['ops'])
      await loginAs('gina', none)
      expect([none, await members('corp-dev'), await members('corp-ops')]).toEqual([none, [], []])
    }
    await loginAs('gina', 'dev')
    expect(await members('corp-dev')).toEqual(['gina'])
    expect([await members('by-hand'), await members('of-other')]).toEqual([['gina'], []])
  })

  test('give what is granted to them, and no longer once the login does not name them', async () => {
    await loginAs('hugo', ['dev'])
    const { id } = (await people.ask('admin', 'get', '/users/hugo')).body
    const grants = async () => (await people.auth.call('grants-of', { accountId: id, epoch: 0 })).rights.grants.length
    expect(await grants()).toBe(1)
    await loginAs('hugo', [])
    expect(await grants()).toBe(0)
  })

  test('are at most 500 a login', async () => {
    const names = Array.from({ length: 501 }, (_, n) => `group ${n}`)
    expect(await loginAs('ines', names)).toMatchObject({ status: 403, body: { code: 'claims_refused' } })
    expect(await loginAs('ines', [...names.slice(0, 499), 'dev'])).toMatchObject({ status: 302, name: 'ines' })
    expect(await members('corp-dev')).toContain('ines')
  })

  test('have no members by hand, and keep their provider', async () => {
    const mixed = { name: 'mixed', members: ['bob'], external: { provider: 'corp', value: 'x' } }
    expect((await people.ask('admin', 'post', '/groups', mixed).expect(400)).body.field).toBe('members')
    const refused = await people.ask('admin', 'patch', '/groups/corp-dev', { members: ['bob'] }).expect(409)
    expect(refused.body).toMatchObject({ code: 'external_group', field: 'members' })
    const unknown = { name: 'unknown', external: { provider: 'none', value: 'x' } }
    await people.ask('admin', 'post', '/groups', unknown).expect(404)
    expect((await people.ask('admin', 'delete', '/identity-providers/corp').expect(409)).body.code).toBe(
      'provider_in_use',
    )
  })
})

describe('an account', () => {
  const open1 = async (more: object, sub: string) => {
    issuer.says({ sub, preferred_username: sub, ...more })
    const one = browser()
    return { one, answer: await logIn(one) }
  }

  test('is made by no login where that is not allowed, and an administrator links one', async () => {
    await people.make('/identity-providers', providerOf('closed', issuer.url, { createAccounts: false }))
    const enter = () => logIn(browser(), { name: 'closed' })
    issuer.says({ sub: 'bob at corp', preferred_username: 'bob' })
    const refused = await enter()
    expect([refused.status, refused.body]).toMatchObject([403, { code: 'no_account', subject: 'bob at corp' }])
    const external = { provider: 'closed', subject: 'bob at corp' }
    await people.ask('admin', 'patch', '/users/bob', { external }).expect(200)
    const linked = browser()
    expect((await logIn(linked, { name: 'closed' })).status).toBe(302)
    expect(await whoIs(linked)).toBe('bob')
    const taken = await people.ask('admin', 'patch', '/users/admin', { external }).expect(409)
    expect(taken.body).toMatchObject({ code: 'subject_taken', field: 'external.subject' })
    await people.ask('bob', 'patch', '/users/bob', { external: null }).expect(403)
    await people.ask('admin', 'patch', '/users/bob', { external: null }).expect(200)
    expect(await whoIs(linked)).toBeUndefined()
    expect((await enter()).body.code).toBe('no_account')
    await people.ask('admin', 'delete', '/identity-providers/closed').expect(204)
  })

  test('without a password has no other login, and keeps its link', async () => {
    const { one } = await open1({}, 'only-external')
    const csrf = (await one.get('/api/v1/sessions/current')).body.csrfToken
    const changed = await request(people.url)
      .patch('/api/v1/me')
      .set('cookie', `berth_session=${one.jar.get('berth_session')?.value}`)
      .set('x-berth-csrf', csrf)
      .send({ password: 'a password of its own', currentPassword: 'x' })
    expect([changed.status, changed.body.code]).toEqual([403, 'no_password'])
    for (const password of ['', 'null', 'undefined']) {
      const answer = await request(people.url).post('/api/v1/sessions').send({ name: 'only-external', password })
      expect([400, 401]).toContain(answer.status)
    }
    const refused = await people.ask('admin', 'patch', '/users/only-external', { external: null }).expect(400)
    expect(refused.body.field).toBe('external')
  })

  test('that is not active is not let in', async () => {
    await open1({}, 'left')
    await people.ask('admin', 'patch', '/users/left', { active: false }).expect(200)
    const { one, answer } = await open1({}, 'left')
    expect([answer.status, answer.body.code]).toEqual([403, 'not_active'])
    expect(await whoIs(one)).toBeUndefined()
  })

  test('uses a personal token for docker, until it has not logged in through the provider for 30 days', async () => {
    const { one } = await open1({}, 'docker-user')
    const csrf = (await one.get('/api/v1/sessions/current')).body.csrfToken
    const made = await request(people.url)
      .post('/api/v1/me/tokens')
      .set('cookie', `berth_session=${one.jar.get('berth_session')?.value}`)
      .set('x-berth-csrf', csrf)
      .send({ name: 'laptop' })
      .expect(201)
    const docker = () => request(people.url).get('/token').auth('docker-user', made.body.secret)
    const lastLogin = (days: number) =>
      people.db.query(
        "update account set issuer_login_at = now() - make_interval(days => $1) where name = 'docker-user'",
        [days],
      )
    await docker().expect(200)
    await lastLogin(29)
    await docker().expect(200)
    await lastLogin(30)
    await docker().expect(401)
    await open1({}, 'docker-user')
    await docker().expect(200)
  })
})

describe('a provider', () => {
  const ask = (method: 'get' | 'post' | 'patch' | 'delete', path = '', body?: object) =>
    people.ask('admin', method, `/identity-providers${path}`, body)

  test('is shown without its secret, which is sealed', async () => {
    const { body } = await ask('get', '/corp').expect(200)
    expect(body).toMatchObject({
      name: 'corp',
      issuer: issuer.url,
      clientId,
      hasClientSecret: true,
      scopes: ['openid', 'profile'],
      usernameClaim: 'preferred_username',
      groupsClaim: 'groups',
      createAccounts: true,
    })
    expect(JSON.stringify([body, (await ask('get')).body])).not.toContain(clientSecret)
    const rows = await people.db.query<{ sealed: Buffer }>(
      'select sealed_client_secret as sealed from identity_provider',
    )
    for (const { sealed } of rows) expect(sealed.includes(clientSecret)).toBe(false)
    await people.ask('bob', 'get', '/identity-providers').expect(403)
  })

  test('is changed but for its name and issuer, and then used as it is', async () => {
    for (const field of ['name', 'issuer'])
      expect((await ask('patch', '/other', { [field]: 'x' }).expect(400)).body.field).toBe(field)
    await ask('patch', '/other', { clientSecret: null, usernameClaim: 'nick', scopes: ['openid', 'email'] }).expect(200)
    other.says({ sub: 'nicked', nick: 'nick-of-other' })
    const one = browser()
    await logIn(one, { name: 'other', at: other })
    expect(await whoIs(one)).toBe('nick-of-other')
    const { form, authorization } = other.seen.findLast(({ path }) => path === '/token') ?? {}
    expect([form?.get('client_id'), authorization]).toEqual([clientId, undefined])
  })

  test('ends all that its people have when it is deleted', async () => {
    await ask('post', '', providerOf('leaving', other.url + '/')).expect(400)
    const gone = await startIssuer()
    try {
      await ask('post', '', providerOf('leaving', gone.url)).expect(201)
      gone.says({ sub: 'stays', preferred_username: 'stays' })
      const one = browser()
      await logIn(one, { name: 'leaving', at: gone })
      expect(await whoIs(one)).toBe('stays')
      await ask('delete', '/leaving').expect(204)
      expect(await whoIs(one)).toBeUndefined()
      await people.ask('admin', 'get', '/users/stays').expect(200)
      await ask('get', '/leaving').expect(404)
    } finally {
      await gone.stop()
    }
  })

  test('is known by its name, and nothing else, to whoever may choose where to log in', async () => {
    const { body } = await request(people.url).get('/api/v1/oidc?limit=1').expect(200)
    expect(body).toEqual({
      items: [{ name: 'corp', loginPath: '/api/v1/oidc/corp/login' }],
      next: expect.any(String),
    })
  })

  test('that is listed comes a page at a time', async () => {
    const first = await ask('get', '?limit=1').expect(200)
    const next = await ask('get', `?limit=1&cursor=${first.body.next}`).expect(200)
    expect([first.body.items[0].name, next.body.items[0].name]).toEqual(['corp', 'other'])
  })

  const key = { kty: 'RSA', n: 'AQAB', e: 'AQAB' }
  test.each<[string, object, string]>([
    ['an issuer that is no URL', { issuer: 'corp' }, 'issuer'],
    ['an issuer of another scheme', { issuer: 'ftp://corp.example' }, 'issuer'],
    ['an issuer with a login', { issuer: 'https://a:b@corp.example' }, 'issuer'],
    ['an issuer with a query', { issuer: 'https://corp.example?a=b' }, 'issuer'],
    ['an issuer without TLS', { issuer: 'http://corp.example', allowHttp: false }, 'issuer'],
    ['a certificate that is none', { caCert: 'x' }, 'caCert'],
    [
      'a certificate that only looks like one',
      { caCert: `-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----` },
      'caCert',
    ],
    ['keys that are none', { jwks: { keys: [{ kty: 'RSAX' }] } }, 'jwks'],
    ['no keys', { jwks: { keys: [] } }, 'jwks.keys'],
    ['a secret key', { jwks: { keys: [{ kty: 'oct', k: 'AAAA' }] } }, 'jwks'],
    ['a private key', { jwks: { keys: [key, { ...key, d: 'AAAA' }] } }, 'jwks.keys[1]'],
    ['keys that are too large', { jwks: { keys: [{ ...key, n: 'A'.repeat(70_000) }] } }, 'jwks'],
    ['an unknown field', { secret: 'x' }, 'secret'],
    ['a name with a slash', { name: 'a/b' }, 'name'],
    ['a scope with a space', { scopes: ['a b'] }, 'scopes[0]'],
  ])('with %s is refused with the field', async (_what, more, field) => {
    const { body } = await ask('post', '', { ...providerOf('bad', issuer.url), ...more }).expect(400)
    expect(body.field).toBe(field)
    await ask('get', '/bad').expect(404)
  })

  test('whose name is taken is refused', async () => {
    expect((await ask('post', '', providerOf('corp', issuer.url)).expect(409)).body.field).toBe('name')
  })
})
