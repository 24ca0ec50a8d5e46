import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import {
  imageOf,
  type MisbehavingUpstream,
  requireTokens,
  startMisbehavingUpstream,
  startTestProxy,
  status,
} from '@berth/registry-client/misbehaving-upstream'
import { makeSelfSigned } from '@berth/service/testing'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import pg from 'pg'
import { type StartedSync, startSync } from '../../testing/started.fixture.ts'

let sync: StartedSync
beforeAll(async () => {
  sync = await startSync()
})
afterAll(() => sync?.stop())

const pair = makeSelfSigned('registry')
let upstream: MisbehavingUpstream
let secure: MisbehavingUpstream
beforeEach(async () => {
  upstream = await startMisbehavingUpstream()
  secure = await startMisbehavingUpstream({ host: 'localhost', tls: pair })
  for (const one of [upstream, secure]) one.add('team/app', '1', imageOf('app', 10))
})
afterEach(async () => {
  await upstream.close()
  await secure.close()
})

async function post(path: string, body?: unknown): Promise<Response> {
  return fetch(`${sync.url}/api/v1${path}`, {
    method: 'POST',
    headers: { authorization: sync.authorization, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}
let count = 0
type Step = { step: string; ok: boolean; ms: number; detail: string; remedy?: string }
async function check(more: object): Promise<{ ok: boolean; steps: Step[]; taken: string[]; last: Step; text: string }> {
  const name = `remote-${++count}`
  const remote = { name, url: upstream.url, upstreamName: 'team/app', allowPrivateAddresses: true, ...more }
  const made = await post('/remotes', remote)
  if (made.status !== 201) throw new Error(await made.text())
  const text = await (await post(`/remotes/${name}/check`)).text()
  const { ok, steps } = JSON.parse(text) as { ok: boolean; steps: Step[] }
  const last = steps.at(-1)
  if (!last) throw new Error('no step')
  return { ok, steps, last, taken: steps.map(({ step, ok: good }) => `${step} ${good ? 'ok' : 'failed'}`), text }
}
const login = { username: 'reader', password: 'pl4nted' }

test('each step that is good is told with its time, to the repository', async () => {
  requireTokens(upstream, { login })
  const { ok, taken, steps } = await check(login)
  expect({ ok, taken }).toEqual({ ok: true, taken: ['dns ok', 'tcp ok', 'auth ok', 'repository ok'] })
  for (const { ms, remedy } of steps) {
    expect(ms).toBeGreaterThanOrEqual(0)
    expect(remedy).toBeUndefined()
  }
})

test('with TLS its certificate is told', async () => {
  const { ok, taken, steps } = await check({ url: secure.url, caCert: pair.cert.toString() })
  expect({ ok, taken }).toEqual({ ok: true, taken: ['dns ok', 'tcp ok', 'tls ok', 'auth ok', 'repository ok'] })
  expect(steps[2]?.detail).toContain('registry')
})

test('what the remote says of login, headers and certificate is what the registry gets', async () => {
  const own = makeSelfSigned('berth')
  requireTokens(secure, { refreshToken: 'an identity token' })
  const more = {
    url: secure.url,
    caCert: pair.cert.toString(),
    clientCert: own.cert.toString(),
    clientKey: own.key.toString(),
    headers: { 'X-Team': 'tools' },
    username: '<token>',
    password: 'an identity token',
  }
  expect(await check(more)).toMatchObject({ ok: true })
  const asked = secure.seen.filter(({ path }) => path.startsWith('/v2/'))
  expect(asked.length).toBeGreaterThan(0)
  for (const { clientName, headers } of asked)
    expect({ clientName, team: headers['x-team'] }).toEqual({ clientName: 'berth', team: 'tools' })
})

test('a remote of a host alone is good when its login is: it names no repository to look at', async () => {
  requireTokens(upstream, { login })
  const { ok, taken } = await check({ ...login, upstreamName: null })
  expect({ ok, taken }).toEqual({ ok: true, taken: ['dns ok', 'tcp ok', 'auth ok'] })
})

test('of many repositories the first is looked at, or the catalog', async () => {
  const many = { upstreamName: undefined, targetPrefix: 'mirror' }
  expect(await check({ ...many, upstreamNames: ['team/app'] })).toMatchObject({ ok: true })
  expect((await check({ ...many, upstreamNames: ['team/*'] })).last.detail).toContain('catalog')
  expect(await check({ ...many, upstreamNames: ['team/none'] })).toMatchObject({
    ok: false,
    last: { step: 'repository' },
  })
})

async function refusedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

test.each<[string, () => Promise<object> | object, string[], RegExp]>([
  ['a name that does not exist', () => ({ url: 'http://registry.invalid' }), ['dns failed'], /host in url|name server/],
  [
    'a port that nobody listens at',
    async () => ({ url: `http://127.0.0.1:${await refusedPort()}` }),
    ['dns ok', 'tcp failed'],
    /port/,
  ],
  ['a certificate that is not trusted', () => ({ url: secure.url }), ['dns ok', 'tcp ok', 'tls failed'], /caCert/],
  [
    'an upstream without TLS',
    () => ({ url: upstream.url.replace('http:', 'https:') }),
    ['dns ok', 'tcp ok', 'tls failed'],
    /http:\/\//,
  ],
  [
    'a wrong password',
    () => {
      requireTokens(upstream, { login: { ...login, password: 'right' } })
      return login
    },
    ['dns ok', 'tcp ok', 'auth failed'],
    /username and password/,
  ],
  [
    'a login that is wanted on another host',
    () => {
      requireTokens(upstream, { issuer: secure })
      return login
    },
    ['dns ok', 'tcp ok', 'auth failed'],
    /tokenHosts/,
  ],
  [
    'a limit that is reached',
    () => {
      upstream.when(/v2/, status(429, { 'retry-after': '3600' }))
      return {}
    },
    ['dns ok', 'tcp ok', 'auth failed'],
    /Wait/,
  ],
  [
    'something that is no registry',
    () => {
      upstream.when(/v2/, status(404))
      return {}
    },
    ['dns ok', 'tcp ok', 'auth failed'],
    /not a registry/,
  ],
  [
    'a repository that is not there',
    () => ({ upstreamName: 'team/none' }),
    ['dns ok', 'tcp ok', 'auth ok', 'repository failed'],
    /upstreamName/,
  ],
  [
    'a repository that may not be pulled',
    () => {
      upstream.when(/tags/, status(403))
      return {}
    },
    ['dns ok', 'tcp ok', 'auth ok', 'repository failed'],
    /may not pull/,
  ],
  [
    'a proxy that is not there',
    async () => ({ proxyUrl: `http://127.0.0.1:${await refusedPort()}` }),
    ['dns ok', 'tcp failed'],
    /port/,
  ],
])('%s is told at its step, with a remedy and no secret', async (_title, prepare, taken, remedy) => {
  const found = await check(await prepare())
  expect({ ok: found.ok, taken: found.taken }).toEqual({ ok: false, taken })
  expect(found.last.remedy).toMatch(remedy)
  expect(found.last.detail).not.toBe('')
  expect(found.text).not.toMatch(/pl4nted|right"/)
})

test('a private address that is not allowed any more is told at its step', async () => {
  await check({})
  const sql = new pg.Client({ connectionString: sync.databaseUrl })
  await sql.connect()
  const name = `remote-${count}`
  await sql.query('update sync.remote set allow_private_addresses = false where name = $1', [name])
  await sql.end()
  const before = upstream.seen.length
  const { steps } = (await (await post(`/remotes/${name}/check`)).json()) as { steps: Step[] }
  expect(steps).toMatchObject([{ step: 'dns', ok: false, remedy: expect.stringContaining('allowPrivateAddresses') }])
  expect(upstream.seen).toHaveLength(before)
})

test('a registry that never answers is given up well within 15 seconds', async () => {
  upstream.when(/v2/, () => {})
  const startedAt = performance.now()
  expect(await check({ retries: 5, timeouts: { headersSeconds: 600 } })).toMatchObject({
    ok: false,
    last: { step: 'auth', ok: false },
  })
  expect(performance.now() - startedAt).toBeLessThan(15_000)
}, 20_000)

test('through a proxy the way to it is walked', async () => {
  const proxy = await startTestProxy({ login: `Basic ${btoa('outward:right')}` })
  try {
    const more = { proxyUrl: proxy.url, proxyUsername: 'outward' }
    expect(await check({ ...more, proxyPassword: 'right' })).toMatchObject({ ok: true })
    const refused = await check({ ...more, proxyPassword: 'pl4nted' })
    expect(refused).toMatchObject({ ok: false, last: { step: 'auth', ok: false } })
    expect(refused.last.remedy).toContain('proxyPassword')
  } finally {
    await proxy.close()
  }
})

test('a remote that is not there is a 404', async () => {
  expect((await post('/remotes/nothing/check')).status).toBe(404)
})
