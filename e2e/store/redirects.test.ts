import { randomBytes } from 'node:crypto'
import { imageOf, startMisbehavingUpstream } from '@berth/registry-client/misbehaving-upstream'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { localRemote, make, sha256, sync } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { berthTarget } from '../conformance/berth.ts'
import { Wire } from '../conformance/wire.ts'

const {
  BERTH_TEST_S3_ENDPOINT: endpoint,
  BERTH_TEST_S3_ACCESS_KEY: accessKey,
  BERTH_TEST_S3_SECRET_KEY: secretKey,
} = process.env
const hasS3 = endpoint && accessKey && secretKey
const s3 = { endpoint: endpoint ?? '', bucket: `redirects-${process.pid}`, accessKey: accessKey ?? '' }
const describeIf = hasS3 ? describe : describe.skip

describeIf(`a distribution that redirects${hasS3 ? '' : ' (skipped: no S3 server)'}`, () => {
  const bytes = randomBytes(100_000)
  const stack = withBerth({ own: true, external: { s3: { ...s3, secretKey: secretKey ?? '' } } })
  let wire: Wire
  let path = ''
  beforeAll(async () => {
    wire = new Wire(berthTarget(stack))
    path = `/v2/team/app/blobs/${await wire.push('team/app', bytes)}`
    expect((await stack.api('PATCH', '/distributions/team%2Fapp', { redirect: true })).status).toBe(200)
  }, 60_000)
  afterAll(async () => {
    wire?.close()
  }, 30_000)

  test('sends clients to the object store, which has the blob and its parts', async () => {
    const { status, headers } = await wire.send('GET', path, { headers: { range: 'bytes=5-9' } })
    expect(status).toBe(307)
    const location = headers.location ?? ''
    expect(new URL(location).origin).toBe(new URL(s3.endpoint).origin)
    const whole = await fetch(location)
    expect(Buffer.from(await whole.arrayBuffer()).equals(bytes)).toBe(true)
    const part = await fetch(location, { headers: { range: 'bytes=5-9' } })
    expect(part.status).toBe(206)
    expect(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(5, 10))).toBe(true)
  })

  test('answers HEAD itself', async () => {
    expect(await wire.send('HEAD', path)).toMatchObject({ status: 200, headers: { 'content-length': '100000' } })
  })

  test('gives a layer that is still upstream itself, and sends clients to the object store once it is there', async () => {
    const upstream = await startMisbehavingUpstream()
    try {
      const image = imageOf('redirected', 300_000)
      const digest = image.layers[0]?.digest ?? ''
      upstream.add('team/lazy', 'latest', image)
      await make(stack, '/remotes', localRemote('lazy', upstream.url, 'team/lazy', { policy: 'on_demand' }))
      await make(stack, '/repositories', { name: 'team/lazy' })
      const served = { name: 'lazy', basePath: 'team/lazy', repository: 'team/lazy', redirect: true }
      await make(stack, '/distributions', served)
      await sync(stack, 'team/lazy', 'lazy')
      const lazy = `/v2/team/lazy/blobs/${digest}`
      const first = await wire.send('GET', lazy)
      expect([first.status, sha256(first.body)]).toEqual([200, digest])
      await until(
        'it is kept',
        async () => (await stack.api('GET', `/store/explain/${digest}`)).body.state === 'present',
      )
      const { status, headers } = await wire.send('GET', lazy)
      expect(status).toBe(307)
      expect(sha256(Buffer.from(await (await fetch(headers.location ?? '')).arrayBuffer()))).toBe(digest)
    } finally {
      await upstream.close()
    }
  }, 30_000)

  test('gives several ranges itself, for the object store has but one at a time', async () => {
    const got = await wire.send('GET', path, { headers: { range: 'bytes=0-9,99990-' } })
    expect(got.status).toBe(206)
    expect(got.headers['content-type']).toMatch(/^multipart\/byteranges/)
    for (const part of [bytes.subarray(0, 10), bytes.subarray(99_990)]) expect(got.body.includes(part)).toBe(true)
  })
})
