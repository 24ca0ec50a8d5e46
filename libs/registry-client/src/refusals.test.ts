import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
import { isPrivateAddress } from './egress/address-rules.ts'
import {
  gone,
  type MisbehavingUpstream,
  redirectTo,
  startMisbehavingUpstream,
  status,
} from './misbehaving-upstream/index.ts'
import { failure, readAll, repository, type Scene, startScene } from './testing/client.fixture.ts'

let scene: Scene
let other: MisbehavingUpstream
beforeEach(async () => {
  scene = await startScene()
  other = await startMisbehavingUpstream()
})
afterEach(async () => {
  await scene.close()
  await other.close()
})

describe('an upstream that has trouble', () => {
  test.each([
    ['500 twice', () => scene.upstream.when(/manifests/, status(500), 2)],
    ['429 with seconds', () => scene.upstream.when(/manifests/, status(429, { 'retry-after': '1' }), 1)],
    [
      '429 with a date',
      () =>
        scene.upstream.when(/manifests/, status(429, { 'retry-after': new Date(Date.now() + 1_000).toUTCString() }), 1),
    ],
    ['connections that end without an answer', () => scene.upstream.when(/manifests/, gone, 2)],
  ])('is asked again after %s', async (_title, misbehave) => {
    misbehave()
    expect(await scene.client({ retries: 3 }).resolve(repository, 'latest')).toBeDefined()
  })

  test('is not asked before the pause is over that it names', async () => {
    scene.upstream.when(/manifests/, status(429, { 'retry-after': '1' }), 1)
    const startedAt = performance.now()
    await scene.client().resolve(repository, 'latest')
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(990)
  })

  test('is not waited for when it names a pause of an hour', async () => {
    scene.upstream.when(/manifests/, status(429, { 'retry-after': '3600' }))
    expect(await failure(scene.client().resolve(repository, 'latest'))).toMatchObject({
      code: 'rate_limited',
      retryAfterSeconds: 3_600,
    })
    expect(scene.upstream.seen).toHaveLength(1)
  })

  test('that never recovers is an error after the tries that were allowed', async () => {
    scene.upstream.when(/manifests/, status(503))
    const error = await failure(scene.client({ retries: 2 }).resolve(repository, 'latest'))
    expect(error).toMatchObject({ code: 'unavailable', status: 503, host: scene.upstream.host })
    expect(scene.upstream.seen).toHaveLength(3)
  })

  test.each([400, 403, 404, 410, 451])('is not asked again after %d', async (code) => {
    scene.upstream.when(/blobs/, status(code))
    const [layer] = scene.image.layers
    if (!layer) throw new Error('no layer')
    const blob = { digest: layer.digest, sizeBytes: layer.bytes.length }
    expect(await failure(readAll(scene.client({ retries: 5 }).blob(repository, blob)))).toMatchObject({ status: code })
    expect(scene.upstream.seen).toHaveLength(1)
  })

  test('ends a wait at once when the caller gives up', async () => {
    const giving = new AbortController()
    scene.upstream.when(/manifests/, ({ response }) => {
      response.writeHead(503, { 'retry-after': '60' }).end()
      giving.abort(new Error('given up'))
    })
    await expect(scene.client({ retries: 5 }).resolve(repository, 'latest', giving.signal)).rejects.toThrow('given up')
  })
})

describe('redirects', () => {
  const credentials = { username: 'reader', password: 'pl4nted' }

  test('to another host name that one when it refuses', async () => {
    other.when(/./, status(403))
    scene.upstream.when(
      /manifests/,
      redirectTo((path) => `${other.url}${path}`),
    )
    const error = await failure(scene.client().manifest(repository, 'latest'))
    expect(error).toMatchObject({ code: 'denied', host: other.host })
    expect(error.message).toContain(`${other.host} answered 403`)
    expect(error.message).toContain(`${scene.upstream.host} sent us there`)
  })

  test('to another host carry no credentials', async () => {
    other.add(repository, 'latest', scene.image)
    scene.upstream.when(/./, status(401, { 'www-authenticate': 'Basic realm="x"' }), 1)
    const client = scene.client({ credentials })
    await client.ping()
    scene.upstream.when(
      /manifests/,
      redirectTo((path) => `${other.url}${path}`),
    )
    expect((await client.manifest(repository, 'latest')).digest).toBe(scene.image.manifest.digest)
    expect(scene.upstream.seen.at(-1)?.authorization ?? scene.upstream.seen.at(1)?.authorization).toBeDefined()
    expect(other.seen.map(({ authorization }) => authorization)).toEqual([undefined])
  })

  test.each([
    ['in a circle', (url: string) => `${url}/v2/`],
    ['to nothing', () => 'http://'],
    ['to a file', () => 'file:///etc/passwd'],
  ])('%s end in an error', async (_title, target) => {
    scene.upstream.when(
      /./,
      redirectTo(() => target(scene.upstream.url)),
    )
    expect(await failure(scene.client().ping())).toMatchObject({ code: 'protocol' })
    expect(scene.upstream.seen.length).toBeLessThanOrEqual(6)
  })
})

describe('private addresses', () => {
  const client = (url: string) => scene.client({ url, allowPrivateAddresses: false })
  test.each([
    'http://127.0.0.1:1',
    'http://[::1]:1',
    'http://10.0.0.1',
    'http://169.254.169.254',
    'http://0x7f.1:1',
    'http://2130706433:1',
    'http://[::ffff:7f00:1]:1',
  ])('%s is refused without a connection', async (url) =>
    expect(await failure(client(url).ping())).toMatchObject({ code: 'address_refused' }),
  )

  test('a name that stands for one is refused', async () => {
    const { port } = new URL(scene.upstream.url)
    expect(await failure(client(`http://localhost:${port}`).ping())).toMatchObject({ code: 'address_refused' })
    expect(scene.upstream.seen).toEqual([])
  })

  test.each([
    ['100.64.0.1', true],
    ['172.16.0.1', true],
    ['172.32.0.1', false],
    ['192.168.1.1', true],
    ['8.8.8.8', false],
    ['fd00::1', true],
    ['fe80::1', true],
    ['64:ff9b::7f00:1', true],
    ['::ffff:0:7f00:1', true],
    ['2002:7f00:1::', true],
    ['2606:4700::1', false],
    ['example.com', false],
  ])('%s: %s', (address, wanted) => expect(isPrivateAddress(address)).toBe(wanted))
})
