import { createHmac } from 'node:crypto'
import { takeAudit } from '@berth/service'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { clientId, clientSecret, newKey, startIssuer, type TestIssuer } from './testing/issuer.fixture.ts'
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
let count = 0
const somebody = (more: object = {}) => ({ sub: `sub-${++count}`, preferred_username: `person-${count}`, ...more })
const whoIs = async (one: Browser) => (await one.get('/api/v1/me')).body.name as string | undefined

test('a person logs in through a provider: an account is made once, by issuer and sub, and a session opened', async () => {
  issuer.says({ sub: 'ann-1', preferred_username: 'ann', email: 'bob@corp.example' })
  const first = browser()
  const answer = await logIn(first, { returnTo: '/repositories?q=a' })
  expect([answer.status, answer.headers.location]).toEqual([302, '/repositories?q=a'])
  expect([...first.jar.keys()]).toEqual(['berth_session'])
  expect(await whoIs(first)).toBe('ann')
  const { form, authorization } = issuer.seen.findLast(({ path }) => path === '/token') ?? {}
  expect(form?.get('code_verifier')?.length).toBeGreaterThan(40)
  expect(authorization).toBe(`Basic ${btoa(`${clientId}:${encodeURIComponent(clientSecret).replaceAll('%20', '+')}`)}`)
  issuer.says({ sub: 'ann-1', preferred_username: 'ann has another name now' })
  const again = browser()
  await logIn(again)
  expect(await whoIs(again)).toBe('ann')
  const { body } = await people.ask('admin', 'get', '/users/ann').expect(200)
  expect(body).toMatchObject({ admin: false, active: true, external: { issuer: issuer.url, subject: 'ann-1' } })
})

test('the audit trail is told who came in through a provider, and nothing of a login that ends in nothing', async () => {
  const person = somebody()
  issuer.says(person)
  const before = browser()
  await before.get('/api/v1/oidc/corp/login')
  await before.get('/api/v1/oidc/corp/callback?state=x&code=y')
  await logIn(browser())
  const { rows } = await takeAudit(people.db, { stored: [] })
  const found = rows.map(({ entry }) => entry).filter(({ action }) => action === 'endOidcLogin')
  expect(found.at(-1)).toMatchObject({
    actor: { id: expect.any(String), name: person.preferred_username },
    object: { kind: 'session' },
    detail: 'corp',
    result: 'done',
  })
  expect(found.filter(({ actor }) => actor.id === null)).toEqual([])
})

test('the browser is sent with state, nonce and PKCE, and nothing of them is in the clear in its cookie', async () => {
  const one = browser()
  const { headers } = await one.get('/api/v1/oidc/corp/login')
  const query = new URL(String(headers.location)).searchParams
  expect(Object.fromEntries(query)).toMatchObject({
    client_id: clientId,
    response_type: 'code',
    scope: 'openid profile',
    code_challenge_method: 'S256',
    redirect_uri: expect.stringMatching(/\/api\/v1\/oidc\/corp\/callback$/),
  })
  const set = String(headers['set-cookie'])
  expect(set).toMatch(/^berth_oidc=[\w-]+; Max-Age=600; Path=\/api\/v1\/oidc; HttpOnly; SameSite=Lax$/)
  for (const name of ['state', 'nonce'])
    expect(Buffer.from(one.jar.get('berth_oidc')?.value ?? '', 'base64url').toString('latin1')).not.toContain(
      query.get(name) ?? '?',
    )
})

test('a name that is taken gets -2 and -3, and nobody becomes whose name it is', async () => {
  const names: (string | undefined)[] = []
  for (const sub of ['new-bob-1', 'new-bob-2']) {
    issuer.says({ sub, preferred_username: 'bob' })
    const one = browser()
    await logIn(one)
    names.push(await whoIs(one))
  }
  expect(names).toEqual(['bob-2', 'bob-3'])
})

test.each<[unknown, RegExp]>([
  ['admin', /^admin-2$/],
  ['authenticated', /^authenticated-2$/],
  // Nobody is called so, and nobody may be.
  ['Berth', /^Berth-2$/],
  ['anonymous', /^anonymous-2$/],
  ['0e7a7b1c-6f0d-4f6e-9d2b-5f0c5f9f6f01', /^user-0e7a7b1c-6f0d-4f6e-9d2b-5f0c5f9f6f01$/],
  ['<token>', /^token-$/],
  ['Ünal: Ö', /^nal-$/],
  ['-.-', /^sub-\d+$/],
  [7, /^sub-\d+$/],
  [['bob'], /^sub-\d+$/],
  [undefined, /^sub-\d+$/],
  ['x'.repeat(4_000), /^x{90}$/],
])('who calls itself %j gets a name that an account may have', async (wanted, name) => {
  issuer.says(somebody({ preferred_username: wanted }))
  const one = browser()
  await logIn(one)
  expect(await whoIs(one)).toMatch(name)
})

test('whose provider is deleted while it logs in is not let in, and gets no account', async () => {
  const { id } = await people.make('/identity-providers', providerOf('fleeting', issuer.url))
  const person = somebody()
  issuer.says(person)
  const sign = async (claims: Record<string, unknown>) => {
    await people.ask('admin', 'delete', `/identity-providers/${id}`).expect(204)
    return issuer.sign(claims)
  }
  issuer.behave({ sign })
  const one = browser()
  expect((await logIn(one, { name: 'fleeting' })).status).toBe(404)
  expect([...one.jar.keys()]).not.toContain('berth_session')
  await people.ask('admin', 'get', `/users/${person.preferred_username}`).expect(404)
})

test('two first logins at once are one account', async () => {
  issuer.says(somebody())
  const both = [browser(), browser()]
  await Promise.all(both.map((one) => logIn(one)))
  const names = await Promise.all(both.map(whoIs))
  expect(names[0]).toBeDefined()
  expect(names[0]).toBe(names[1])
})

describe('who comes back', () => {
  test('in a browser that did not begin is not let in, though the code is good', async () => {
    issuer.says(somebody())
    const attacker = browser()
    const begun = await attacker.get('/api/v1/oidc/corp/login')
    const query = issuer.authorize(String(begun.headers.location))
    const victim = browser()
    const without = await victim.get(`/api/v1/oidc/corp/callback?${query}`)
    expect([without.status, without.body.code]).toEqual([403, 'login_not_begun'])
    await victim.get('/api/v1/oidc/corp/login')
    const withOwn = await victim.get(`/api/v1/oidc/corp/callback?${query}`)
    expect([withOwn.status, withOwn.body.code]).toEqual([403, 'login_not_begun'])
    expect(await whoIs(victim)).toBeUndefined()
  })

  test('to another provider than it went to is not let in', async () => {
    const one = browser()
    const begun = await one.get('/api/v1/oidc/corp/login')
    const tokens = other.seen.length
    const answer = await one.get(`/api/v1/oidc/other/callback?${issuer.authorize(String(begun.headers.location))}`)
    expect([answer.status, answer.body.code]).toEqual([403, 'login_not_begun'])
    expect(other.seen.length).toBe(tokens)
  })

  test('with the issuer of another provider (RFC 9207) is not let in', async () => {
    const one = browser()
    const begun = await one.get('/api/v1/oidc/corp/login')
    const query = issuer.authorize(String(begun.headers.location))
    query.set('iss', other.url)
    expect((await one.get(`/api/v1/oidc/corp/callback?${query}`)).status).toBe(403)
  })

  test('a second time with the same code is not let in', async () => {
    issuer.says(somebody())
    const one = browser()
    const begun = await one.get('/api/v1/oidc/corp/login')
    const state = one.jar.get('berth_oidc')
    const path = `/api/v1/oidc/corp/callback?${issuer.authorize(String(begun.headers.location))}`
    expect((await one.get(path)).status).toBe(302)
    expect((await one.get(path)).body.code).toBe('login_not_begun')
    if (state) one.jar.set('berth_oidc', state)
    expect((await one.get(path)).body.code).toBe('login_refused')
  })

  test('with a refusal is told so, and nothing that it sends is repeated', async () => {
    const one = browser()
    const begun = await one.get('/api/v1/oidc/corp/login')
    const state = new URL(String(begun.headers.location)).searchParams.get('state') ?? ''
    const query = new URLSearchParams({ state, error: 'access_denied', error_description: '<script>' })
    const answer = await one.get(`/api/v1/oidc/corp/callback?${query}`)
    expect([answer.status, answer.body.code]).toEqual([403, 'login_refused'])
    expect(answer.text).not.toContain('script')
  })

  test('with what no library foresees, such as 4 KB, twice a state, or extra fields, gets no 500', async () => {
    for (const query of [
      '',
      'state=a&state=b&code=c',
      `state=x&code=${'y'.repeat(4_000)}`,
      'session_state=1&foo=bar',
    ]) {
      const one = browser()
      await one.get('/api/v1/oidc/corp/login')
      const { status } = await one.get(`/api/v1/oidc/corp/callback?${query}`)
      expect([400, 403]).toContain(status)
    }
  })
})

test.each([
  '//evil.example',
  '/\\evil.example',
  'https://evil.example',
  'evil',
  '/a\\b',
  '/\t/evil.example',
  '/a\r\nset-cookie: x=y',
  '',
])('a login does not lead to %j', async (returnTo) => {
  const answer = await browser().get(`/api/v1/oidc/corp/login?returnTo=${encodeURIComponent(returnTo)}`)
  expect([answer.status, answer.body.field]).toEqual([400, 'returnTo'])
})

describe('an ID token is refused', () => {
  const now = () => Math.floor(Date.now() / 1000)
  const base64 = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  test.each<[string, (claims: Record<string, unknown>) => Promise<string> | string]>([
    ['that is signed by another key', async (claims) => issuer.sign(claims, await newKey('one'))],
    ['that is signed by a key that nobody published', async (claims) => issuer.sign(claims, await newKey('two'))],
    ['without a signature', (claims) => `${base64({ alg: 'none' })}.${base64(claims)}.`],
    [
      'that is signed with the secret of the client',
      (claims) => {
        const text = `${base64({ alg: 'HS256' })}.${base64(claims)}`
        return `${text}.${createHmac('sha256', clientSecret).update(text).digest('base64url')}`
      },
    ],
    ['of another issuer', (claims) => issuer.sign({ ...claims, iss: other.url })],
    ['for another client', (claims) => issuer.sign({ ...claims, aud: 'another' })],
    ['for several without a word which', (claims) => issuer.sign({ ...claims, aud: [clientId, 'another'] })],
    [
      'for several, given to another',
      (claims) => issuer.sign({ ...claims, aud: [clientId, 'another'], azp: 'another' }),
    ],
    ['of another login', (claims) => issuer.sign({ ...claims, nonce: 'x' })],
    ['of no login', (claims) => issuer.sign({ ...claims, nonce: undefined })],
    ['without an end', (claims) => issuer.sign({ ...claims, exp: undefined })],
    ['that is over', (claims) => issuer.sign({ ...claims, exp: now() - 600 })],
    ['without a sub', (claims) => issuer.sign({ ...claims, sub: undefined })],
    ['with a sub that is no text', (claims) => issuer.sign({ ...claims, sub: 7 })],
    ['with a sub of 4 KB', (claims) => issuer.sign({ ...claims, sub: 'x'.repeat(4_096) })],
    ['with an empty sub', (claims) => issuer.sign({ ...claims, sub: '' })],
    ['that is none', () => 'not.a.token'],
  ])('%s', async (_what, sign) => {
    issuer.says(somebody())
    issuer.behave({ sign })
    const one = browser()
    const { status, body } = await logIn(one)
    expect([403, 502]).toContain(status)
    expect(body.hint).toEqual(expect.any(String))
    expect(await whoIs(one)).toBeUndefined()
    const { body: users } = await people.ask('admin', 'get', `/users?q=person-${count}`)
    expect(users.items).toEqual([])
  })
})

test('a provider that signs with a new key is understood at once', async () => {
  const fresh = await startIssuer()
  try {
    await people.make('/identity-providers', providerOf('rotating', fresh.url))
    for (const sub of ['r-1', 'r-2']) {
      fresh.says({ sub, preferred_username: 'rota' })
      const one = browser()
      expect((await logIn(one, { name: 'rotating', at: fresh })).status).toBe(302)
      await fresh.rotate()
    }
  } finally {
    await fresh.stop()
  }
})
