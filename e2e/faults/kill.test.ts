import { createHash, randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { type Pushed, pushRandomImage, send, startUpload, type Target } from '../berth/push.ts'
import { basic, getManifest, localRemote, make, startSync, versionNumbers } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { missingPrograms } from '../servers/programs.ts'
import { type SlowProxy, startSlowProxy } from '../servers/slow-proxy.ts'
import { startDockerRegistry, type Upstream } from '../servers/upstream.ts'

const missing = missingPrograms('docker-registry')
const group = missing.length > 0 ? describe.skip : describe
const mebibyte = 1 << 20

group(`killed with SIGKILL${missing.length > 0 ? ` (not installed: ${missing.join(', ')})` : ''}`, () => {
  const stack = withBerth({ own: true, env: { BERTH_TASK_LEASE_SECONDS: '4' }, embeddedDatabase: true })
  let upstream: Upstream
  let proxy: SlowProxy
  let image: Pushed
  const target = (): Target => ({ url: stack.url, authorization: basic(stack) })

  beforeAll(async () => {
    upstream = await startDockerRegistry()
    image = await pushRandomImage({ url: upstream.url }, 'slow', 'one', Array(6).fill(mebibyte))
    proxy = await startSlowProxy({ host: upstream.host, bytesPerSecond: 2 * mebibyte })
  }, 90_000)
  afterAll(async () => {
    await proxy?.stop()
    await upstream?.stop()
  }, 60_000)

  test('during a sync: started again, the sync finishes by itself and fetches no blob again that it had', async () => {
    await make(stack, '/remotes', localRemote('slow', proxy.url, 'slow', { concurrency: 1 }))
    await make(stack, '/repositories', { name: 'slow' })
    await make(stack, '/distributions', { name: 'slow', basePath: 'slow', repository: 'slow', access: 'public' })
    const { id } = await startSync(stack, 'slow', 'slow')
    // One at a time: with four asked for, three have come.
    await until('four blobs are asked for', () => blobsAsked(upstream).length >= 4, 30_000)
    await stack.kill('SIGKILL')
    const before = blobsAsked(upstream)
    proxy.hurry()
    await stack.restart()
    expect(await versionNumbers(stack, 'slow')).toEqual([0])
    expect((await getManifest(`${stack.url}/v2/slow/manifests/one`)).status).toBe(404)

    const task = await stack.waitForTask(id, 90_000)
    expect(task).toMatchObject({ state: 'completed', result: { version: 1, created: true } })
    expect((await getManifest(`${stack.url}/v2/slow/manifests/one`)).digest).toBe(image.digest)
    const again = blobsAsked(upstream).slice(before.length)
    expect(again.filter((digest) => before.slice(0, -1).includes(digest))).toEqual([])
    for (const digest of image.layers) expect(await digestOfBlob(`${stack.url}/v2/slow/blobs/${digest}`)).toBe(digest)
  }, 150_000)

  test('during a push: what was acknowledged is there, the upload goes on where it was, nothing half is visible', async () => {
    const done = await pushRandomImage(target(), 'pushed', 'done')
    const bytes = randomBytes(4 * mebibyte)
    const digest = digestOf(bytes)
    const upload = await startUpload(target(), 'pushed')
    const first = await patch(target(), upload, bytes.subarray(0, mebibyte), 0)
    const next = new URL(first.headers.get('location') ?? upload, stack.url).href
    const cut = sendHalf(target(), next, bytes.subarray(mebibyte), mebibyte)
    await cut.underWay
    await stack.kill('SIGKILL')
    await cut.ended
    await stack.restart()

    const acknowledged = await getManifest(`${stack.url}/v2/pushed/manifests/done`, stack)
    expect(acknowledged).toMatchObject({ status: 200, digest: done.digest })
    expect(await digestOfBlob(`${stack.url}/v2/pushed/blobs/${done.layers[0]}`, basic(stack))).toBe(done.layers[0])
    await send(target(), 'HEAD', `/v2/pushed/blobs/${digest}`, 404)

    const status = await send(target(), 'GET', next, 204)
    const held = Number(/^0-(\d+)$/.exec(status.headers.get('range') ?? '')?.[1]) + 1
    expect(held).toBeGreaterThanOrEqual(mebibyte)
    const place = new URL(status.headers.get('location') ?? next, stack.url).href
    const rest = await patch(target(), place, bytes.subarray(held), held)
    const last = new URL(rest.headers.get('location') ?? place, stack.url)
    last.searchParams.set('digest', digest)
    await send(target(), 'PUT', last.href, 201)
    expect(await digestOfBlob(`${stack.url}/v2/pushed/blobs/${digest}`, basic(stack))).toBe(digest)
  }, 90_000)

  test('or stopped: an upload of which one small chunk has come goes on', async () => {
    const bytes = randomBytes(1_000)
    const upload = await startUpload(target(), 'stopped')
    await send(target(), 'PATCH', upload, 202, { body: new Uint8Array(bytes) })
    expect(await stack.kill('SIGTERM')).toMatchObject({ code: 0 })
    await stack.restart()
    const end = new URL(upload)
    end.searchParams.set('digest', digestOf(bytes))
    await send(target(), 'PUT', end.href, 201)
    // Its answer may have been lost.
    await send(target(), 'PUT', end.href, 201)
    expect(await digestOfBlob(`${stack.url}/v2/stopped/blobs/${digestOf(bytes)}`, basic(stack))).toBe(digestOf(bytes))
  }, 60_000)
})

/** The digests of the blobs that were asked for by GET, in the order of the access log. */
function blobsAsked(upstream: Upstream): string[] {
  // docker-registry writes the line of its access log when the answer is over; that of the application comes first.
  const asked = upstream.log().matchAll(/"GET \/v2\/slow\/blobs\/(sha256:[0-9a-f]{64}) HTTP/g)
  return [...asked].map(([, digest]) => digest as string)
}

async function patch(target: Target, url: string, bytes: Buffer, from: number): Promise<Response> {
  const range = `${from}-${from + bytes.length - 1}`
  const headers = { 'content-type': 'application/octet-stream', 'content-range': range }
  return send(target, 'PATCH', url, 202, { body: new Uint8Array(bytes), headers })
}

/** Sends half of a chunk and then waits, as a slow client does. */
function sendHalf(
  target: Target,
  url: string,
  bytes: Buffer,
  from: number,
): { underWay: Promise<void>; ended: Promise<unknown> } {
  let isUnderWay = () => {}
  const underWay = new Promise<void>((resolve) => {
    isUnderWay = resolve
  })
  const body = new ReadableStream({
    pull(controller) {
      // Asked a second time: the first half is with the server or on its way.
      if (controller.desiredSize === null) return undefined
      controller.enqueue(new Uint8Array(bytes.subarray(0, bytes.length / 2)))
      return new Promise<void>(() => isUnderWay())
    },
  })
  const headers = {
    authorization: target.authorization ?? '',
    'content-type': 'application/octet-stream',
    'content-range': `${from}-${from + bytes.length - 1}`,
  }
  const ended = fetch(url, { method: 'PATCH', headers, body, duplex: 'half' } as RequestInit).catch(() => 'cut')
  return { underWay, ended }
}

async function digestOfBlob(url: string, authorization?: string): Promise<string> {
  const answer = await fetch(url, authorization ? { headers: { authorization } } : {})
  expect(answer.status).toBe(200)
  return digestOf(new Uint8Array(await answer.arrayBuffer()))
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
