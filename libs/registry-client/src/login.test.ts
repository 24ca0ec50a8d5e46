import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import {
  cut,
  type Fault,
  hang,
  type MisbehavingUpstream,
  startMisbehavingUpstream,
  status,
} from './misbehaving-upstream/index.ts'
import { failure, repository, type Scene, startScene } from './testing/client.fixture.ts'

let scene: Scene
beforeEach(async () => {
  scene = await startScene()
})
afterEach(() => scene.close())

/** Wants a token that `accepted` names; its issuer gives out token-1, token-2, … */
function guard(
  upstream: MisbehavingUpstream,
  accepted: () => string,
  more: { realm?: string; lifeSeconds?: number } = {},
) {
  let given = 0
  const realm = more.realm ?? `${upstream.url}/token`
  upstream.when(/^(GET|HEAD) \/v2/, ({ request, response, behave }) => {
    if (request.headers.authorization === `Bearer ${accepted()}`) return behave()
    const scope = `repository:${repository}:pull`
    response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="registry",scope="${scope}"` }).end()
  })
  upstream.when(/\/token/, ({ response }) => {
    const body = { token: `token-${++given}`, expires_in: more.lifeSeconds ?? 300 }
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  return { given: () => given }
}
const tokenRequests = () => scene.upstream.seen.filter(({ path }) => path.startsWith('/token'))

describe('tokens', () => {
  test('are asked for once, for the scope that the upstream names, and kept', async () => {
    guard(scene.upstream, () => 'token-1')
    const client = scene.client()
    for (let i = 0; i < 3; i++) expect(await client.resolve(repository, 'latest')).toBeDefined()
    expect(tokenRequests()).toHaveLength(1)
    const { searchParams } = new URL(tokenRequests()[0]?.path ?? '', scene.upstream.url)
    expect(Object.fromEntries(searchParams)).toEqual({ service: 'registry', scope: `repository:${repository}:pull` })
  })

  test('of a user are asked for with the login', async () => {
    guard(scene.upstream, () => 'token-1')
    await scene.client({ credentials: { username: 'u', password: 'p' } }).resolve(repository, 'latest')
    expect(tokenRequests().map(({ authorization }) => authorization)).toEqual([`Basic ${btoa('u:p')}`])
  })

  test('that the upstream no longer takes are renewed once, and it goes on', async () => {
    let accepted = 'token-1'
    guard(scene.upstream, () => accepted)
    const client = scene.client()
    await client.resolve(repository, 'latest')
    accepted = 'token-2'
    expect(await client.resolve(repository, 'latest')).toBeDefined()
    expect(tokenRequests()).toHaveLength(2)
  })

  test('are renewed before their end', async () => {
    let accepted = 'token-1'
    guard(scene.upstream, () => accepted, { lifeSeconds: 0.1 })
    const client = scene.client()
    await client.resolve(repository, 'latest')
    accepted = 'token-2'
    // It is the time itself that is waited for: three quarters of the token's life.
    await delay(80)
    const before = scene.upstream.seen.length
    expect(await client.resolve(repository, 'latest')).toBeDefined()
    expect(scene.upstream.seen.slice(before).map(({ authorization }) => authorization)).not.toContain('Bearer token-1')
  })

  test('are asked for once by many requests at once, also when they have run out', async () => {
    let accepted = 'token-1'
    guard(scene.upstream, () => accepted)
    const client = scene.client()
    const many = () => Promise.all(Array.from({ length: 8 }, () => client.resolve(repository, 'latest')))
    expect((await many()).every(Boolean)).toBe(true)
    accepted = 'token-2'
    expect((await many()).every(Boolean)).toBe(true)
    expect(tokenRequests()).toHaveLength(2)
  })

  test('that are never good enough end in an error, after few requests', async () => {
    guard(scene.upstream, () => 'none of them')
    const client = scene.client({ retries: 5 })
    const errors = await Promise.all(Array.from({ length: 4 }, () => failure(client.resolve(repository, 'latest'))))
    for (const error of errors) expect(error).toMatchObject({ code: 'unauthorized', status: 401 })
    expect(scene.upstream.seen.length).toBeLessThanOrEqual(16)
  })

  test.each(['pl4nted\n', 'pl4nted\u0000', 'pl4nted\u20ac'])(
    'that no header can hold (%j) are told, and not repeated',
    async (token) => {
      const error = await failure(scene.client({ credentials: { token } }).ping())
      expect(error).toMatchObject({ code: 'protocol', message: expect.stringContaining('authorization') })
      expect(error.message).not.toContain('pl4nted')
      expect(scene.upstream.seen).toEqual([])
    },
  )

  test('that were given as credentials are never replaced', async () => {
    guard(scene.upstream, () => 'mine')
    expect(await scene.client({ credentials: { token: 'mine' } }).resolve(repository, 'latest')).toBeDefined()
    const error = await failure(scene.client({ credentials: { token: 'old' } }).resolve(repository, 'latest'))
    expect(error).toMatchObject({ code: 'unauthorized' })
    expect(tokenRequests()).toEqual([])
  })

  test.each<[string, Fault, string]>([
    ['refuses the login', status(401), 'unauthorized'],
    ['denies the login', status(403), 'unauthorized'],
    ['is broken', status(500), 'unavailable'],
    ['is busy', status(429), 'rate_limited'],
    ['gives no token', status(200, {}, '{}'), 'protocol'],
    ['gives an empty token', status(200, {}, '{"token":""}'), 'protocol'],
    ['gives a page', status(200, {}, '<html>'), 'protocol'],
    ['gives null', status(200, {}, 'null'), 'protocol'],
    ['never answers', hang, 'timeout'],
    [
      'breaks off',
      ({ response }) =>
        cut(3)({
          response,
          answer: { status: 200, headers: { 'content-length': '99' }, body: Buffer.from('{"token":"x"') },
        } as never),
      'unavailable',
    ],
  ])('an issuer that %s is an error', async (_title, fault, code) => {
    guard(scene.upstream, () => 'token-1')
    scene.upstream.when(/\/token/, fault)
    expect(await failure(scene.client({ retries: 0 }).resolve(repository, 'latest'))).toMatchObject({ code })
  })
})

describe('who gets the credentials', () => {
  const credentials = { username: 'reader', password: 'pl4nted' }
  let foreign: MisbehavingUpstream
  beforeEach(async () => {
    foreign = await startMisbehavingUpstream({ host: 'localhost' })
  })
  afterEach(() => foreign.close())

  test('an issuer on a foreign host gets none, and is not even asked', async () => {
    guard(scene.upstream, () => 'token-1', { realm: `${foreign.url}/token` })
    const error = await failure(scene.client({ credentials }).resolve(repository, 'latest'))
    expect(error).toMatchObject({ code: 'unauthorized' })
    expect(error.message).toContain(foreign.host)
    expect(error.message).not.toContain('pl4nted')
    expect(foreign.seen).toEqual([])
  })

  test('an issuer on a foreign host may give a token to those who have none', async () => {
    guard(scene.upstream, () => 'token-1', { realm: `${foreign.url}/token` })
    foreign.when(/token/, status(200, {}, '{"access_token":"token-1"}'))
    expect(await scene.client().resolve(repository, 'latest')).toBeDefined()
  })

  test('an upstream that knows only Basic gets them when it asks', async () => {
    const right = `Basic ${btoa('reader:pl4nted')}`
    scene.upstream.when(/./, ({ request, response, behave }) => {
      if (request.headers.authorization === right) behave()
      else response.writeHead(401, { 'www-authenticate': 'Basic realm="registry"' }).end()
    })
    expect(await scene.client({ credentials }).resolve(repository, 'latest')).toBeDefined()
    expect(scene.upstream.seen.map(({ authorization }) => authorization)).toEqual([undefined, right])
    const wrong = scene.client({ credentials: { username: 'reader', password: 'wrong' } })
    expect(await failure(wrong.resolve(repository, 'latest'))).toMatchObject({ code: 'unauthorized' })
    expect(await failure(scene.client().resolve(repository, 'latest'))).toMatchObject({ code: 'unauthorized' })
    expect(scene.upstream.seen.length).toBeLessThanOrEqual(5)
  })

  test.each(['Digest realm="x"', 'Bearer', 'Bearer realm="nothing"', '', '"'])(
    'the challenge %j is an error',
    async (value) => {
      scene.upstream.when(/./, status(401, { 'www-authenticate': value }))
      expect((await failure(scene.client({ credentials }).ping())).name).toBe('UpstreamError')
      expect(scene.upstream.seen.length).toBeLessThanOrEqual(2)
    },
  )
})
