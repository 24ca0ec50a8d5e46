import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import {
  hang,
  imageOf,
  type MisbehavingUpstream,
  redirectTo,
  requireTokens,
  startMisbehavingUpstream,
  status,
} from '../misbehaving-upstream/index.ts'
import { failure, repository, type Scene, startScene } from '../testing/client.fixture.ts'
import { createTokenCache, type KeptToken } from './token-cache.ts'

let scene: Scene
let foreign: MisbehavingUpstream
beforeEach(async () => {
  scene = await startScene()
  foreign = await startMisbehavingUpstream({ host: 'localhost' })
})
afterEach(async () => {
  await scene.close()
  await foreign.close()
})
const login = { username: 'reader', password: 'pl4nted' }
const resolve = (more: Parameters<Scene['client']>[0] = {}, name = repository) =>
  scene.client(more).resolve(name, 'latest')
const sentElsewhere = () => foreign.seen.filter(({ headers }) => JSON.stringify(headers).includes('pl4nted'))

describe('tokens of the process', () => {
  test('are shared by clients of the same credentials, also when they ask at once', async () => {
    const realm = requireTokens(scene.upstream, { login })
    await Promise.all(Array.from({ length: 6 }, () => resolve({ credentials: login })))
    await resolve({ credentials: login })
    expect(realm.asked).toHaveLength(1)
  })

  test('are not shared between credentials, trust or scopes', async () => {
    scene.upstream.add('team/app', 'latest', imageOf('app', 10))
    const realm = requireTokens(scene.upstream)
    await resolve()
    await resolve({ credentials: login })
    await resolve({ credentials: { ...login, password: 'another' } })
    await resolve({ tls: { verify: false } })
    await resolve({}, 'team/app')
    expect(realm.asked.map(({ scope }) => scope)).toEqual([
      ...Array.from({ length: 4 }, () => `repository:${repository}:pull`),
      'repository:team/app:pull',
    ])
  })

  test.each<[string, (giveUp: AbortController, client: ReturnType<Scene['client']>) => unknown]>([
    ['gives up', (giveUp) => giveUp.abort(new Error('given up'))],
    ['is closed', (_, client) => client.close()],
  ])('are got by another one who waits when the one who asks %s', async (_title, leave) => {
    const realm = requireTokens(scene.upstream)
    const atIssuer = new Promise<void>((seen) => {
      scene.upstream.when(/token/, () => seen(), 1)
    })
    const giveUp = new AbortController()
    const timeouts = { headersMs: 30_000 }
    const client = scene.client({ timeouts, retries: 0 })
    const first = failure(client.resolve(repository, 'latest', giveUp.signal))
    await atIssuer
    const before = scene.upstream.seen.length
    const others = Array.from({ length: 3 }, () => resolve({ timeouts, retries: 0 }))
    // Each has met the challenge by then, and waits for the token that was asked for.
    while (scene.upstream.seen.length < before + 3) await delay(5)
    await leave(giveUp, client)
    expect((await first).message).toMatch(/given up|broke off/)
    expect((await Promise.all(others)).every(Boolean)).toBe(true)
    expect(realm.asked).toHaveLength(1)
  })

  test('do not make who gives up wait for the issuer', async () => {
    requireTokens(scene.upstream)
    scene.upstream.when(/token/, hang)
    const timeouts = { headersMs: 60_000 }
    const giveUp = new AbortController()
    const leader = failure(scene.client({ timeouts }).resolve(repository, 'latest', giveUp.signal))
    const follower = new AbortController()
    const second = failure(scene.client({ timeouts }).resolve(repository, 'latest', follower.signal))
    while (scene.upstream.seen.length < 3) await delay(5)
    follower.abort(new Error('given up'))
    expect((await second).message).toBe('given up')
    giveUp.abort(new Error('given up too'))
    expect((await leader).message).toBe('given up too')
  })

  test('are renewed before their end without meeting a 401', async () => {
    const realm = requireTokens(scene.upstream, { lifeSeconds: 0.4 })
    const client = scene.client()
    await client.resolve(repository, 'latest')
    const before = scene.upstream.seen.length
    // It is the time itself that is waited for: three quarters of the token's life.
    await delay(310)
    expect(await client.resolve(repository, 'latest')).toBeDefined()
    expect(scene.upstream.seen.slice(before).map(({ path }) => path.split(/[?/]/)[1])).toEqual(['token', 'v2'])
    expect(realm.asked).toHaveLength(2)
  })

  test('are used to their end while the issuer is away', async () => {
    requireTokens(scene.upstream, { lifeSeconds: 2 })
    const client = scene.client({ retries: 0 })
    await client.resolve(repository, 'latest')
    scene.upstream.when(/token/, status(503))
    await delay(1_510)
    expect(await client.resolve(repository, 'latest')).toBeDefined()
  })

  test('that are refused though they are new end the request, and the next one asks again', async () => {
    const realm = requireTokens(scene.upstream)
    scene.upstream.when(
      /manifests/,
      status(401, { 'www-authenticate': `Bearer realm="${scene.upstream.url}/token"` }),
      2,
    )
    const client = scene.client({ retries: 3 })
    expect(await failure(client.resolve(repository, 'latest'))).toMatchObject({ code: 'unauthorized', status: 401 })
    expect(await client.resolve(repository, 'latest')).toBeDefined()
    expect(realm.asked.length).toBeLessThanOrEqual(3)
  })

  test('revoked by the registry are replaced at once', async () => {
    const realm = requireTokens(scene.upstream)
    const client = scene.client()
    await client.resolve(repository, 'latest')
    realm.revoke()
    expect(await client.resolve(repository, 'latest')).toBeDefined()
    expect(realm.asked).toHaveLength(2)
  })
})

describe('the OAuth2 form', () => {
  test('is used where an issuer knows no GET', async () => {
    const realm = requireTokens(scene.upstream, { login, methods: ['POST'] })
    expect(await resolve({ credentials: login })).toBeDefined()
    expect(realm.asked).toEqual([
      { method: 'GET', scope: `repository:${repository}:pull`, grantType: null, given: false },
      { method: 'POST', scope: `repository:${repository}:pull`, grantType: 'password', given: true },
    ])
  })

  test('takes an identity token, which is sent to nobody else', async () => {
    const realm = requireTokens(scene.upstream, { refreshToken: 'pl4nted' })
    const credentials = { refreshToken: 'pl4nted' }
    expect(await resolve({ credentials })).toBeDefined()
    expect(realm.asked).toEqual([
      { method: 'POST', scope: `repository:${repository}:pull`, grantType: 'refresh_token', given: true },
    ])
    expect(scene.upstream.seen.filter(({ headers }) => JSON.stringify(headers).includes('pl4nted'))).toEqual([])
  })

  test('that is refused is an error without the secret', async () => {
    requireTokens(scene.upstream, { refreshToken: 'another' })
    const error = await failure(resolve({ credentials: { refreshToken: 'pl4nted' } }))
    expect(error).toMatchObject({ code: 'unauthorized' })
    expect(error.message).not.toContain('pl4nted')
  })

  test('is never sent on by a redirect', async () => {
    requireTokens(scene.upstream, { refreshToken: 'pl4nted' })
    scene.upstream.when(
      /POST .*token/,
      redirectTo(() => `${foreign.url}/token`, 308),
    )
    expect(await failure(resolve({ credentials: { refreshToken: 'pl4nted' } }))).toMatchObject({ code: 'protocol' })
    expect(foreign.seen).toEqual([])
  })
})

describe('an issuer on another host', () => {
  test.each([
    ['host', () => 'localhost'],
    ['host and port', () => foreign.host],
  ])('gets the login when the remote names its %s', async (_kind, named) => {
    requireTokens(scene.upstream, { issuer: foreign, login })
    expect(await resolve({ credentials: login, tokenHosts: [named()] })).toBeDefined()
  })

  test.each([[[]], [['auth.example.com']], [['localhost:1']]])(
    'gets none when it names %j, and is told of',
    async (tokenHosts: string[]) => {
      requireTokens(scene.upstream, { issuer: foreign, login })
      const error = await failure(resolve({ credentials: login, tokenHosts }))
      expect(error).toMatchObject({ code: 'unauthorized' })
      expect(error.message).toContain('tokenHosts')
      expect(foreign.seen).toEqual([])
    },
  )

  test('that it was redirected to gets no login, whatever it says', async () => {
    scene.upstream.when(
      /manifests/,
      redirectTo((path) => `${foreign.url}${path}`),
    )
    for (const challenge of [
      'Basic realm="x"',
      `Bearer realm="${foreign.url}/token"`,
      `Bearer realm="${scene.upstream.url}/token"`,
    ]) {
      foreign.when(/./, status(401, { 'www-authenticate': challenge }))
      expect(await failure(resolve({ credentials: login, tokenHosts: ['localhost'] }))).toMatchObject({
        code: 'unauthorized',
      })
    }
    expect(foreign.seen.length).toBeGreaterThan(0)
    expect(foreign.seen.map(({ authorization }) => authorization).filter(Boolean)).toEqual([])
    expect(sentElsewhere()).toEqual([])
    expect(scene.upstream.seen.filter(({ path }) => path.startsWith('/token'))).toEqual([])
  })

  test('over http is refused by a registry that has TLS', async () => {
    const { checkRealm } = await import('./realm.ts')
    const origin = new URL('https://registry.example.com')
    const check = (hasCredentials: boolean) =>
      checkRealm('http://registry.example.com/token', { origin, tokenHosts: [], hasCredentials })
    expect(() => check(true)).toThrow('without TLS')
    expect(check(false).href).toBe('http://registry.example.com/token')
  })
})

test('the cache keeps the latest tokens only', async () => {
  const cache = createTokenCache(2)
  const asker = { signal: undefined, isGone: () => false }
  const token = (header: string): KeptToken => ({
    header,
    challenge: { scheme: 'bearer', parameters: {} },
    renewAt: 1,
    endsAt: 2,
  })
  for (const key of ['a', 'b', 'a', 'c']) await cache.obtain(key, asker, async () => token(key))
  expect(['a', 'b', 'c'].map((key) => cache.find(key)?.header)).toEqual(['a', undefined, 'c'])
  cache.drop('a', 'another')
  cache.drop('c', 'c')
  expect(['a', 'c'].map((key) => cache.find(key)?.header)).toEqual(['a', undefined])
})

test('a cache keeps as many bytes of tokens as it may, and what is larger than all of it not at all', async () => {
  const cache = createTokenCache(100, 10)
  const asker = { signal: undefined, isGone: () => false }
  const get = (key: string, length: number) =>
    cache.obtain(key, asker, async () => ({
      header: key.repeat(length),
      challenge: { scheme: 'bearer', parameters: {} },
      renewAt: 1,
      endsAt: 2,
    }))
  const kept = () => ['a', 'b', 'c', 'd'].filter((key) => cache.find(key))
  for (const key of ['a', 'b', 'c']) await get(key, 4)
  expect(kept()).toEqual(['b', 'c'])
  expect(await get('d', 11)).toBe('d'.repeat(11))
  expect(kept()).toEqual([])
  for (const key of ['a', 'b']) await get(key, 5)
  expect(kept()).toEqual(['a', 'b'])
})
