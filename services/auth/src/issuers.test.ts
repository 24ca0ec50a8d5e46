import { makeSelfSigned } from '@berth/service/testing'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { createRemembered } from './issuers/remembered.ts'
import { clientId, clientSecret, sendJson, startIssuer, type TestIssuer } from './testing/issuer.fixture.ts'
import { type Browser, openBrowser } from './testing/oidc-browser.fixture.ts'
import { type People, startPeople } from './testing/people.fixture.ts'

let people: People
let issuer: TestIssuer
beforeAll(async () => {
  ;[people, issuer] = await Promise.all([startPeople(), startIssuer()])
  await people.make('/identity-providers', providerOf('corp', issuer.url))
}, 60_000)
beforeEach(() => {
  issuer.behave({})
  issuer.says({})
})
afterAll(async () => {
  await issuer?.stop()
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

describe('an issuer', () => {
  /** A provider whose issuer misbehaves from the beginning. */
  const misbehaving = async (behaviour: Parameters<TestIssuer['behave']>[0], more: object = {}) => {
    const one = await startIssuer()
    started.push(one)
    one.behave(behaviour)
    const name = `odd-${started.length}`
    const answer = await people.ask('admin', 'post', '/identity-providers', providerOf(name, one.url, more))
    return { name, one, answer }
  }
  const started: TestIssuer[] = []
  afterAll(() => Promise.all(started.map((one) => one.stop())))

  test('whose discovery document names another issuer is refused, when the provider is made', async () => {
    const { answer } = await misbehaving({ document: { issuer: 'https://evil.example' } })
    expect([answer.status, answer.body]).toMatchObject([400, { field: 'issuer', hint: expect.any(String) }])
    expect(answer.body.detail).toContain('https://evil.example')
  })

  test('and when somebody logs in', async () => {
    const { name, one } = await misbehaving({}, { allowPrivateAddresses: false })
    await people.ask('admin', 'patch', `/identity-providers/${name}`, { allowPrivateAddresses: true }).expect(200)
    one.behave({ document: { issuer: 'https://evil.example' } })
    const answer = await browser().get(`/api/v1/oidc/${name}/login`)
    expect([answer.status, answer.body.code]).toEqual([502, 'issuer_wrong'])
  })

  test('that hangs is given up in time with 503, and asked only once by all who wait', async () => {
    const { name, one } = await misbehaving({ all: () => undefined }, { allowPrivateAddresses: false })
    await people.ask('admin', 'patch', `/identity-providers/${name}`, { allowPrivateAddresses: true }).expect(200)
    const asked = one.seen.length
    const begun = performance.now()
    const answers = await Promise.all([1, 2, 3].map(() => browser().get(`/api/v1/oidc/${name}/login`)))
    expect(performance.now() - begun).toBeLessThan(5_000)
    for (const { status, body, headers } of answers) {
      expect([status, body.code]).toEqual([503, 'issuer_away'])
      expect(headers['retry-after']).toBeDefined()
    }
    expect(one.seen.length).toBe(asked + 1)
  })

  test('that hangs does so for nobody else, and for no session', async () => {
    issuer.says({ sub: 'patient', preferred_username: 'patient' })
    const one = browser()
    await logIn(one)
    issuer.behave({ token: () => undefined })
    const other1 = browser()
    const begun = await other1.get('/api/v1/oidc/corp/login')
    const waiting = other1.get(`/api/v1/oidc/corp/callback?${issuer.authorize(String(begun.headers.location))}`)
    expect(await whoIs(one)).toBe('patient')
    expect((await waiting).status).toBe(503)
  })

  test('that sends a browser where no web page is is refused', async () => {
    for (const authorization_endpoint of ['javascript:alert(1)', '/authorize', 7]) {
      const { name } = await misbehaving({ document: { authorization_endpoint } })
      const answer = await browser().get(`/api/v1/oidc/${name}/login`)
      expect([answer.status, answer.body.code]).toEqual([502, 'provider_wrong'])
    }
  })

  test('whose keys are 4 MB, or none, or away lets nobody in, with 502', async () => {
    for (const keys of [
      { keys: Array.from({ length: 40_000 }, () => ({ kty: 'RSA', n: 'A'.repeat(80), e: 'AQAB' })) },
      { keys: 'none' },
      'no JSON',
    ]) {
      const { name, one } = await misbehaving({ keys: (_request, response) => sendJson(response, keys) })
      const answer = await logIn(browser(), { name, at: one })
      expect([answer.status, answer.body.code]).toEqual([502, expect.stringMatching(/^issuer_/)])
    }
  })

  test('by https shows a certificate of the authority that is named, or is not asked', async () => {
    const pair = makeSelfSigned('issuer')
    const one = await startIssuer(pair)
    started.push(one)
    const over = { allowHttp: false, caCert: String(pair.cert) }
    await people.make('/identity-providers', providerOf('own-authority', one.url, over))
    await people.make('/identity-providers', providerOf('usual-authorities', one.url, { ...over, caCert: null }))
    one.says({ sub: 'secured', preferred_username: 'secured' })
    const own = browser()
    await logIn(own, { name: 'own-authority', at: one })
    expect(await whoIs(own)).toBe('secured')
    const refused = await browser().get('/api/v1/oidc/usual-authorities/login')
    expect([refused.status, refused.body.hint]).toEqual([502, expect.stringContaining('caCert')])
  })

  test('whose keys are pasted is not asked for them', async () => {
    const one = await startIssuer()
    started.push(one)
    one.behave({ keys: (_request, response) => void response.destroy() })
    await people.make('/identity-providers', providerOf('pasted', one.url, { jwks: { keys: [one.key.jwk] } }))
    one.says({ sub: 'pasted', preferred_username: 'pasted' })
    const own = browser()
    await logIn(own, { name: 'pasted', at: one })
    expect(await whoIs(own)).toBe('pasted')
  })

  test('that has a private address or speaks http is not asked, unless an administrator allows that', async () => {
    const { name, one } = await misbehaving({}, { allowPrivateAddresses: false })
    expect(one.seen).toEqual([])
    const answer = await browser().get(`/api/v1/oidc/${name}/login`)
    expect([answer.status, answer.body.hint]).toEqual([502, expect.stringContaining('allowPrivateAddresses')])
  })
})

describe('what was fetched', () => {
  const hour = 3_600_000
  const scene = () => {
    const state = { now: 1_000_000_000_000, fetched: 0, isAway: false }
    const remembered = createRemembered<number>(() => state.now)
    const get = (freshMs = 600_000) =>
      remembered.get('a', freshMs, async () => {
        state.fetched += 1
        if (state.isAway) throw new Error('away')
        return state.fetched
      })
    return { state, get }
  }

  test('is good for a while, and for an hour until it was fetched anew, for which nobody waits', async () => {
    const { state, get } = scene()
    expect([await get(), await get()]).toEqual([1, 1])
    state.now += 600_000
    expect(await Promise.all([get(), get()])).toEqual([1, 1])
    expect([await get(), state.fetched]).toEqual([2, 2])
    expect([await get(0), state.fetched]).toEqual([3, 3])
    state.now += hour
    expect(await Promise.all([get(), get()])).toEqual([4, 4])
  })

  test('is good for a day where it cannot be fetched again, which is tried now and then', async () => {
    const { state, get } = scene()
    await get()
    state.isAway = true
    state.now += hour
    expect([await get(), await get(), state.fetched]).toEqual([1, 1, 2])
    state.now += 5_000
    expect([await get(), state.fetched]).toEqual([1, 3])
    state.now += 24 * hour
    await expect(get()).rejects.toThrow('away')
    await expect(get()).rejects.toThrow('away')
    expect(state.fetched).toBe(4)
    state.isAway = false
    state.now += 5_000
    expect(await get()).toBe(5)
  })
})
