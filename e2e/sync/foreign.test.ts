import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { blobOf, type Image, imageOf, manifestOf } from '@berth/registry-client/misbehaving-upstream'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { localRemote, make, startSync, sync } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

const stack = withBerth()
const upstream = withUpstream()
let elsewhere: Server
let place: string
let bytes: Buffer
const seen: IncomingMessage[] = []
let count = 0

beforeAll(async () => {
  elsewhere = createServer((request, response) => {
    seen.push(request)
    if (request.url === '/gone') response.writeHead(404).end()
    else response.writeHead(200, { 'content-length': String(bytes.length) }).end(bytes)
  })
  await new Promise<void>((resolve) => void elsewhere.listen(0, '127.0.0.1', resolve))
  place = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}`
}, 90_000)
afterAll(async () => {
  elsewhere?.closeAllConnections()
  elsewhere?.close()
}, 60_000)

/** An image of which one layer lies elsewhere; a remote of it and a repository for it. */
async function makeScene(more: object, urls = [`${place}/gone`, `${place}/layer`]) {
  const name = `foreign/${++count}`
  const own = imageOf(name, 1_000)
  const layer = blobOf(Buffer.alloc(5_000, name))
  bytes = layer.bytes
  const body = JSON.parse(own.manifest.bytes.toString()) as { mediaType: string; layers: object[] }
  const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip'.replace('layer.v1', 'layer.nondistributable.v1')
  const layers = [...body.layers, { mediaType, digest: layer.digest, size: layer.bytes.length, urls }]
  const image: Image = { ...own, manifest: manifestOf({ ...body, layers } as never) }
  upstream.add(name, 'latest', image)
  const login = { username: 'reader', password: 'secret of upstream' }
  await make(stack, '/remotes', localRemote(name, upstream.url, name, { retries: 0, ...login, ...more }))
  await make(stack, '/repositories', { name })
  await make(stack, '/distributions', { name, basePath: name, repository: name, access: 'public' })
  return { name, layer, blob: `${stack.url}/v2/${name}/blobs/${layer.digest}` }
}

test('a foreign layer is left to the client unless it is asked for', async () => {
  const { name, blob } = await makeScene({})
  const before = seen.length
  await sync(stack, name, name)
  expect([seen.length, (await fetch(blob)).status]).toEqual([before, 404])
})

test('where it is included it is fetched without credentials from the first place that has it, and served', async () => {
  const { name, layer, blob } = await makeScene({ includeForeignLayers: true })
  const before = seen.length
  await sync(stack, name, name)
  expect(seen.slice(before).map(({ url }) => url)).toEqual(['/gone', '/layer'])
  for (const { headers } of seen) expect(headers.authorization).toBeUndefined()
  expect(Buffer.from(await (await fetch(blob)).arrayBuffer()).equals(layer.bytes)).toBe(true)
  expect((await sync(stack, name, name)).result).toMatchObject({ created: false })
  const { body } = await stack.api('POST', '/store/gc', { graceSeconds: 0 })
  await stack.waitForTask(body.id)
  expect((await fetch(blob)).status).toBe(200)
})

test('included later it comes with the next sync, though no tag has moved', async () => {
  const { name, layer, blob } = await makeScene({})
  await sync(stack, name, name)
  expect((await fetch(blob)).status).toBe(404)
  await stack.api('PATCH', `/remotes/${encodeURIComponent(name)}`, { includeForeignLayers: true })
  const { result } = await sync(stack, name, name)
  expect(result).toMatchObject({ created: true, version: 2, bytesFetched: layer.bytes.length })
  expect(Buffer.from(await (await fetch(blob)).arrayBuffer()).equals(layer.bytes)).toBe(true)
  const before = upstream.seen.length
  expect((await sync(stack, name, name)).result).toMatchObject({ created: false, bytesFetched: 0 })
  // A list and a HEAD of the tag: nothing is looked for again.
  expect(upstream.seen.slice(before).filter(({ path }) => path.includes('/blobs/'))).toEqual([])
})

test('one that has other bytes, or is nowhere, fails the sync with the place that was asked', async () => {
  const wrong = await makeScene({ includeForeignLayers: true })
  bytes = Buffer.alloc(5_000, 'x')
  const nowhere = await makeScene({ includeForeignLayers: true }, [`${place}/gone`])
  bytes = Buffer.alloc(5_000, 'x')
  for (const [{ name }, code] of [
    [wrong, 'upstream_bad_digest'],
    [nowhere, 'upstream_not_found'],
  ] as const) {
    const task = await stack.waitForTask((await startSync(stack, name, name)).id)
    expect(task).toMatchObject({ state: 'failed', error: { code } })
    expect(task.error?.message).toContain(new URL(place).host)
  }
})
