import { createRegistryClient, type RegistryClientOptions, UpstreamError } from '@berth/registry-client'
import {
  imageOf,
  type MisbehavingUpstream,
  redirectTo,
  requireTokens,
  startMisbehavingUpstream,
  startTestProxy,
  type TestProxy,
} from '@berth/registry-client/misbehaving-upstream'
import { makeSelfSigned } from '@berth/service/testing'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'

const repository = 'team/app'
const image = imageOf('app', 1_000)
const [server, client] = [makeSelfSigned('registry'), makeSelfSigned('berth')]
const own = { ca: server.cert.toString(), cert: client.cert.toString(), key: client.key.toString() }

const closing: { close: () => Promise<void> }[] = []
afterEach(async () => {
  for (const one of closing.splice(0).reverse()) await one.close()
})
async function start(options: Parameters<typeof startMisbehavingUpstream>[0] = {}): Promise<MisbehavingUpstream> {
  const upstream = await startMisbehavingUpstream(options)
  closing.push(upstream)
  upstream.add(repository, 'latest', image)
  return upstream
}
async function startProxy(options: Parameters<typeof startTestProxy>[0] = {}): Promise<TestProxy> {
  const proxy = await startTestProxy(options)
  closing.push(proxy)
  return proxy
}
function clientOf({ url }: MisbehavingUpstream, more: Partial<RegistryClientOptions> = {}) {
  const made = createRegistryClient({
    url,
    retries: 0,
    allowPrivateAddresses: true,
    redirectHosts: ['localhost'],
    ...more,
  })
  closing.push(made)
  return made
}
const resolve = (upstream: MisbehavingUpstream, more: Partial<RegistryClientOptions> = {}) =>
  clientOf(upstream, more).resolve(repository, 'latest')
async function codeOf(work: Promise<unknown>): Promise<string> {
  const error: unknown = await work.then(
    () => 'it went well',
    (reason: unknown) => reason,
  )
  return error instanceof UpstreamError ? error.code : String(error)
}

describe('TLS', () => {
  let upstream: MisbehavingUpstream
  beforeEach(async () => {
    upstream = await start({ tls: server })
  })

  test('needs a certificate that is trusted, by the authority given or not at all', async () => {
    expect(await codeOf(resolve(upstream))).toBe('tls')
    expect(await codeOf(resolve(upstream, { tls: { ca: client.cert.toString() } }))).toBe('tls')
    expect(await resolve(upstream, { tls: { ca: own.ca } })).toBeDefined()
    expect(await resolve(upstream, { tls: { verify: false } })).toBeDefined()
  })

  test('shows the client certificate to the registry, and to nobody it points to', async () => {
    const elsewhere = await start({ tls: server, host: 'localhost' })
    upstream.when(
      /blobs/,
      redirectTo((path) => `${elsewhere.url}${path}`),
    )
    const made = clientOf(upstream, { tls: own })
    await made.resolve(repository, 'latest')
    const [layer] = image.layers
    if (!layer) throw new Error('no layer')
    const wanted = { digest: layer.digest, sizeBytes: layer.bytes.length }
    for await (const _ of made.blob(repository, wanted));
    for await (const _ of made.foreign(`${elsewhere.url}/v2/${repository}/blobs/${layer.digest}`, wanted));
    expect(upstream.seen.map(({ clientName }) => clientName)).toEqual(['berth', 'berth'])
    expect(elsewhere.seen.map(({ clientName }) => clientName)).toEqual([undefined, undefined])
  })

  test('is not left by a redirect', async () => {
    const plain = await start()
    upstream.when(
      /manifests/,
      redirectTo((path) => `${plain.url}${path}`),
    )
    expect(await codeOf(resolve(upstream, { tls: own }))).toBe('protocol')
    expect(plain.seen).toEqual([])
  })
})

test('extra headers go to the registry only: not to the issuer on another host, nor where it redirects to', async () => {
  const [upstream, issuer, elsewhere] = [await start(), await start({ host: 'localhost' }), await start()]
  upstream.when(
    /manifests/,
    redirectTo((path) => `${elsewhere.url}${path}`),
  )
  requireTokens(upstream, { issuer })
  const headers = { 'X-Team': 'pl4nted' }
  expect(await resolve(upstream, { headers })).toBeDefined()
  expect(new Set(upstream.seen.map((request) => request.headers['x-team']))).toEqual(new Set(['pl4nted']))
  for (const { seen } of [issuer, elsewhere]) {
    expect(seen.length).toBeGreaterThan(0)
    expect(JSON.stringify(seen)).not.toContain('pl4nted')
  }
})

describe('a proxy', () => {
  const login = { username: 'outward', password: 'pl4nted' }
  const header = `Basic ${btoa('outward:pl4nted')}`

  test.each([
    ['http', undefined],
    ['https', server],
  ])('is where all requests go through, to an upstream of %s', async (scheme, tls) => {
    const upstream = await start(tls ? { tls } : {})
    const proxy = await startProxy({ login: header })
    const options = { tls: own, proxy: { url: new URL(proxy.url), login } }
    expect(await resolve(upstream, options)).toBeDefined()
    const target =
      scheme === 'https' ? `CONNECT ${upstream.host}` : `HEAD ${upstream.url}/v2/${repository}/manifests/latest`
    expect(proxy.seen).toEqual([{ target, login: header }])
    expect(upstream.seen.map(({ clientName }) => clientName)).toEqual([tls ? 'berth' : undefined])
    expect(JSON.stringify(upstream.seen)).not.toContain(header)
  })

  test.each([
    ['http', undefined],
    ['https', server],
  ])('that refuses the login is named, for an upstream of %s', async (_scheme, tls) => {
    const upstream = await start(tls ? { tls } : {})
    const proxy = await startProxy({ login: header })
    const options = { tls: own, proxy: { url: new URL(proxy.url), login: { ...login, password: 'wrong' } } }
    expect(await codeOf(resolve(upstream, options))).toBe('proxy_refused')
    expect(upstream.seen).toEqual([])
  })

  test('that says nothing is not waited for', async () => {
    const upstream = await start({ tls: server })
    const proxy = await startProxy({ hangs: true })
    const timeouts = { connectMs: 300, headersMs: 300 }
    expect(await codeOf(resolve(upstream, { tls: own, timeouts, proxy: { url: new URL(proxy.url) } }))).toMatch(
      /timeout|unavailable/,
    )
  })

  test('that is not there is an error', async () => {
    const upstream = await start()
    const proxy = { url: new URL('http://127.0.0.1:1') }
    expect(await codeOf(resolve(upstream, { proxy }))).toBe('unavailable')
    expect(upstream.seen).toEqual([])
  })

  test('at a private address is refused where those are not allowed', async () => {
    const proxy = await startProxy()
    const options = { allowPrivateAddresses: false, proxy: { url: new URL(proxy.url) } }
    const made = createRegistryClient({ url: 'http://registry.example.com', retries: 0, ...options })
    closing.push(made)
    expect(await codeOf(made.ping())).toBe('address_refused')
    expect(proxy.seen).toEqual([])
  })
})
