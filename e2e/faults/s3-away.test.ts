import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { withBerth } from '../berth/with-berth.ts'
import { berthTarget } from '../conformance/berth.ts'
import { newManifest } from '../conformance/manifests.ts'
import { digestOf, octets, pathOf, type Reply, Wire, withDigest } from '../conformance/wire.ts'
import { startMinio, type TestMinio } from '../servers/minio.ts'

const minioMissing = process.env.BERTH_TEST_MINIO ? '' : ' (no MinIO that could be stopped)'
const group = minioMissing ? describe.skip : describe
const refusedWithinMs = 10_000

group(`a bucket that is away${minioMissing}`, () => {
  const repository = 'away/app'
  const layer = randomBytes(100_000)
  let minio: TestMinio
  const stack = withBerth(async () => {
    minio = await startMinio()
    const { endpoint, accessKey, secretKey } = minio
    const s3 = { endpoint, bucket: 'away', accessKey, secretKey }
    return { own: true, env: { BERTH_S3_TIMEOUT_SECONDS: '1' }, external: { s3 } }
  })
  let wire: Wire
  let manifest: Record<string, unknown>

  beforeAll(async () => {
    wire = new Wire(berthTarget(stack))
    await wire.push(repository, layer)
    manifest = await newManifest(wire, repository)
    await wire.pushManifest(repository, manifest, 'latest')
    // Read once, a manifest is in memory.
    expect((await wire.send('GET', `/v2/${repository}/manifests/latest`)).status).toBe(200)
  }, 90_000)
  afterAll(async () => {
    wire?.close()
    await minio?.stop()
  }, 60_000)

  const expectUnavailable = async (asking: Promise<Reply>[]) => {
    const begun = performance.now()
    for (const { status, headers, body } of await Promise.all(asking)) {
      const { code } = JSON.parse(body.toString()).errors[0]
      expect({ status, code, retryAfter: headers['retry-after'] }).toEqual({
        status: 503,
        code: 'UNAVAILABLE',
        retryAfter: expect.stringMatching(/^\d+$/),
      })
    }
    expect(performance.now() - begun).toBeLessThan(refusedWithinMs)
  }
  /** All that needs the bucket, and beside it what does not. */
  const expectRefusals = async (bytes: Buffer, place: string) => {
    const single = `/v2/${repository}/blobs/uploads/?digest=${digestOf(bytes)}`
    const refused = expectUnavailable([
      wire.send('GET', `/v2/${repository}/blobs/${digestOf(layer)}`),
      wire.send('PATCH', place, { headers: octets, body: bytes }),
      wire.send('POST', single, { headers: octets, body: bytes }),
      wire
        .pushManifest(repository, { ...manifest, annotations: { n: randomBytes(4).toString('hex') } }, 'refused')
        .then(({ reply }) => reply),
    ])
    for (const path of ['manifests/latest', 'tags/list'])
      expect((await wire.send('GET', `/v2/${repository}/${path}`)).status).toBe(200)
    expect((await wire.send('HEAD', `/v2/${repository}/blobs/${digestOf(layer)}`)).status).toBe(200)
    await refused
    expect((await wire.send('HEAD', `/v2/${repository}/blobs/${digestOf(bytes)}`)).status).toBe(404)
    expect((await wire.send('HEAD', `/v2/${repository}/manifests/refused`)).status).toBe(404)
  }

  test('a client that leaves in the middle of a pull is in the log as no failure of anything', async () => {
    const large = randomBytes(8 << 20)
    await wire.push(repository, large)
    const path = `/v2/${repository}/blobs/${digestOf(large)}`
    const headers = { authorization: `Basic ${Buffer.from(`${stack.user}:${stack.password}`).toString('base64')}` }
    for (let i = 0; i < 5; i++) {
      const [answer] = (await once(get(`${stack.url}${path}`, { headers }), 'response')) as [IncomingMessage]
      expect(answer.statusCode).toBe(200)
      await once(answer, 'readable')
      answer.destroy()
      // Longer than it takes to hear that the other is gone.
      expect((await wire.send('GET', path)).body.equals(large)).toBe(true)
    }
    expect(stack.logs()).not.toMatch(/registry request (failed|refused)|went away|UNAVAILABLE/)
  }, 60_000)

  test('silent: what needs it is 503 in time, manifests in memory are served, and all goes on when it answers', async () => {
    const bytes = randomBytes(200_000)
    const place = pathOf(await wire.begin(repository))
    process.kill(minio.pid, 'SIGSTOP')
    try {
      await expectRefusals(bytes, place)
    } finally {
      process.kill(minio.pid, 'SIGCONT')
    }
    expect((await wire.send('GET', `/v2/${repository}/blobs/${digestOf(layer)}`)).body.equals(layer)).toBe(true)
    expect((await wire.send('PUT', withDigest(place, digestOf(bytes)), { headers: octets, body: bytes })).status).toBe(
      201,
    )
    expect((await wire.send('GET', `/v2/${repository}/blobs/${digestOf(bytes)}`)).body.equals(bytes)).toBe(true)
  }, 60_000)

  test('gone: the same, for as long as nobody answers there', async () => {
    const place = pathOf(await wire.begin(repository))
    await minio.stop()
    await expectRefusals(randomBytes(200_000), place)
  }, 60_000)
})
