import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import {
  cut,
  gone,
  type Image,
  imageOf,
  manifestOf,
  status,
  wrongBytes,
} from '@berth/registry-client/misbehaving-upstream'
import { describe, expect, test } from '@jest/globals'
import { localRemote, make, sync } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

let count = 0
const stack = withBerth()
const upstream = withUpstream()

type Mirrored = { name: string; image: Image; blob: (i: number) => string; layer: (i: number) => string }

/** An image upstream that was never fetched, synced by a remote of this policy. */
async function mirrored(policy: string, ...layerBytes: number[]): Promise<Mirrored> {
  const name = `on-demand/${++count}`
  const image = imageOf(`${name} image`, ...layerBytes)
  upstream.add(name, 'latest', image)
  await make(stack, '/remotes', localRemote(name, upstream.url, name, { retries: 0, policy }))
  await make(stack, '/repositories', { name })
  await make(stack, '/distributions', { name, basePath: name, repository: name, access: 'public' })
  const { progress } = await sync(stack, name, name)
  // Its configuration, and what stays upstream.
  const blobs = 1 + layerBytes.length
  expect(progress).toContainEqual({ phase: 'blobs', done: blobs, total: blobs, unit: 'blobs' })
  const layer = (i: number) => image.layers[i]?.digest ?? ''
  return { name, image, layer, blob: (i) => `${stack.url}/v2/${name}/blobs/${layer(i)}` }
}
const fetched = (digest: string) =>
  upstream.seen.filter(({ method, path }) => method === 'GET' && path.endsWith(digest))
const digestOf = (bytes: ArrayBuffer | Uint8Array) =>
  `sha256:${createHash('sha256').update(new Uint8Array(bytes)).digest('hex')}`
const remoteBytes = async () => (await stack.api('GET', '/store')).body.remote

describe('a remote with the policy on_demand', () => {
  test('syncs manifests and configurations only, serves layers when they are pulled, and then keeps them', async () => {
    const before = await remoteBytes()
    const { image, blob, layer, name } = await mirrored('on_demand', 300_000, 200_000)
    expect(fetched(layer(0))).toEqual([])
    expect(fetched(image.config.digest)).toHaveLength(1)
    expect(await remoteBytes()).toEqual({ objects: before.objects + 2, bytes: before.bytes + 500_000 })
    const head = await fetch(blob(0), { method: 'HEAD' })
    expect([head.status, head.headers.get('content-length')]).toEqual([200, '300000'])
    expect(fetched(layer(0))).toEqual([])
    expect(digestOf(await (await fetch(blob(0))).arrayBuffer())).toBe(layer(0))
    await untilKept(layer(0))
    upstream.when(new RegExp(name), gone)
    expect(digestOf(await (await fetch(blob(0))).arrayBuffer())).toBe(layer(0))
    upstream.mend()
    expect(fetched(layer(0))).toHaveLength(1)
    expect(await remoteBytes()).toEqual({ objects: before.objects + 1, bytes: before.bytes + 200_000 })
  }, 60_000)

  test('gives a range of what is not here yet as 206, and of several the whole', async () => {
    const { blob, image } = await mirrored('on_demand', 500_000)
    const bytes = image.layers[0]?.bytes ?? Buffer.alloc(0)
    const part = await fetch(blob(0), { headers: { range: 'bytes=1000-400999' } })
    expect([part.status, part.headers.get('content-range')]).toEqual([206, 'bytes 1000-400999/500000'])
    expect(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(1000, 401_000))).toBe(true)
    const other = await mirrored('on_demand', 500_000)
    const several = await fetch(other.blob(0), { headers: { range: 'bytes=0-9,20-29' } })
    expect(several.status).toBe(200)
    expect(digestOf(await several.arrayBuffer())).toBe(other.layer(0))
  }, 60_000)

  test(
    'fetches what a hundred clients want at once a single time, in memory that stays flat',
    async () => {
      const sizeBytes = (20 << 20) * Number(process.env.BERTH_TEST_RUNS ?? 1)
      const { blob, layer } = await mirrored('on_demand', sizeBytes)
      const residentBytes = () =>
        Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${stack.pid}/status`, 'utf8'))?.[1]) * 1024
      const before = residentBytes()
      let most = before
      const watching = setInterval(() => {
        most = Math.max(most, residentBytes())
      }, 50)
      const digests = await Promise.all(
        Array.from({ length: 100 }, async () => {
          const hash = createHash('sha256')
          for await (const chunk of (await fetch(blob(0))).body ?? []) hash.update(chunk)
          return `sha256:${hash.digest('hex')}`
        }),
      )
      clearInterval(watching)
      expect(new Set(digests)).toEqual(new Set([layer(0)]))
      expect(fetched(layer(0))).toHaveLength(1)
      // All that they get together is 2 GB; BERTH_TEST_RUNS=10 makes it a layer of 200 MB.
      expect(most - before).toBeLessThan(150 << 20)
    },
    60_000 * Number(process.env.BERTH_TEST_RUNS ?? 1),
  )

  test('breaks off when upstream gives wrong bytes, keeps nothing, and asks another remote first from then on', async () => {
    const { blob, layer, name, image } = await mirrored('on_demand', 400_000)
    upstream.when(new RegExp(`${name}/blobs`), wrongBytes)
    const answer = await fetch(blob(0))
    await expect(answer.arrayBuffer()).rejects.toThrow('terminated')
    const second = `${name}-second`
    upstream.add(second, 'latest', image)
    await make(stack, '/remotes', localRemote(second, upstream.url, second, { retries: 0, policy: 'on_demand' }))
    await make(stack, '/repositories', { name: second })
    expect(await sync(stack, second, second)).toMatchObject({ state: 'completed' })
    const before = upstream.seen.length
    expect(digestOf(await (await fetch(blob(0))).arrayBuffer())).toBe(layer(0))
    const asked = upstream.seen.slice(before).map(({ path }) => path)
    expect(asked).toEqual([`/v2/${second}/blobs/${layer(0)}`])
    upstream.mend()
  }, 60_000)

  test('goes on at another remote where the first one broke off', async () => {
    const { blob, layer, name, image } = await mirrored('on_demand', 2_000_000)
    const second = `${name}-second`
    upstream.add(second, 'latest', image)
    await make(stack, '/remotes', localRemote(second, upstream.url, second, { retries: 0, policy: 'on_demand' }))
    await make(stack, '/repositories', { name: second })
    expect(await sync(stack, second, second)).toMatchObject({ state: 'completed' })
    upstream.when(new RegExp(`GET /v2/${name}(-second)?/blobs`), cut(1_000_000), 1)
    expect(digestOf(await (await fetch(blob(0))).arrayBuffer())).toBe(layer(0))
    expect(upstream.seen.filter(({ path }) => path.endsWith(layer(0))).map(({ range }) => range)).toEqual([
      undefined,
      expect.stringMatching(/^bytes=\d+-$/),
    ])
    upstream.mend()
  }, 60_000)

  test('says 503 with the reason while no upstream can be asked, and 404 when all say that it is gone', async () => {
    const { blob, name } = await mirrored('on_demand', 100_000)
    upstream.when(new RegExp(`${name}/blobs`), status(500))
    const away = await fetch(blob(0))
    expect([away.status, away.headers.get('retry-after')]).toEqual([503, '30'])
    const said = JSON.stringify(await away.json())
    expect(said).toContain('answered 500')
    // It may be the remote of another repository, which has the same layer.
    for (const secret of [upstream.host, `${name}/blobs`]) expect(said).not.toContain(secret)
    upstream.mend()
    upstream.when(new RegExp(`${name}/blobs`), status(404))
    const lost = await fetch(blob(0))
    expect([lost.status, JSON.stringify(await lost.json())]).toEqual([404, expect.stringContaining('BLOB_UNKNOWN')])
    upstream.mend()
    expect((await fetch(blob(0))).status).toBe(200)
  }, 60_000)

  test('of a layer whose size another upstream lied about, brings the bytes, and pulls get them', async () => {
    const image = imageOf(`disputed ${++count}`, 90_000)
    const digest = image.layers[0]?.digest ?? ''
    const lie = JSON.parse(image.manifest.bytes.toString('utf8'))
    lie.layers[0].size = 95_000
    const [liar, honest] = [`on-demand/liar-${count}`, `on-demand/honest-${count}`]
    upstream.add(liar, 'latest', { ...image, manifest: manifestOf(lie) })
    upstream.add(honest, 'latest', image)
    for (const name of [liar, honest]) {
      await make(stack, '/remotes', localRemote(name, upstream.url, name, { retries: 0, policy: 'on_demand' }))
      await make(stack, '/repositories', { name })
      await make(stack, '/distributions', { name, basePath: name, repository: name, access: 'public' })
      expect(await sync(stack, name, name)).toMatchObject({ state: 'completed' })
    }
    const answer = await fetch(`${stack.url}/v2/${honest}/blobs/${digest}`)
    expect(digestOf(await answer.arrayBuffer())).toBe(digest)
  }, 60_000)

  test('and synced as immediate later, it fetches what is missing without a new version', async () => {
    const { name, layer } = await mirrored('on_demand', 120_000, 130_000)
    const before = await stack.api('GET', `/repositories/${encodeURIComponent(name)}`)
    expect((await stack.api('PATCH', `/remotes/${encodeURIComponent(name)}`, { policy: 'immediate' })).status).toBe(200)
    const task = await sync(stack, name, name)
    expect(task).toMatchObject({ state: 'completed', result: { created: false, bytesFetched: 250_000 } })
    expect(fetched(layer(0))).toHaveLength(1)
    const after = await stack.api('GET', `/repositories/${encodeURIComponent(name)}`)
    expect(after.body.latestVersion).toBe(before.body.latestVersion)
  }, 60_000)

  test('a client that pushes such a layer brings its bytes, and nothing is fetched', async () => {
    const { name, layer, image, blob } = await mirrored('on_demand', 90_000)
    const authorization = `Basic ${btoa(`${stack.user}:${stack.password}`)}`
    const asked = await fetch(blob(0), { method: 'HEAD', headers: { authorization } })
    expect(asked.status).toBe(404)
    const url = `${stack.url}/v2/${name}/blobs/uploads/?digest=${layer(0)}`
    const headers = { authorization, 'content-type': 'application/octet-stream' }
    const bytes = new Uint8Array(image.layers[0]?.bytes ?? [])
    expect((await fetch(url, { method: 'POST', headers, body: bytes })).status).toBe(201)
    expect(digestOf(await (await fetch(blob(0))).arrayBuffer())).toBe(layer(0))
    expect(fetched(layer(0))).toEqual([])
  }, 60_000)
})

test('what a remote can give again is reclaimed, and comes back with the next pull; what it cannot stays', async () => {
  const { name, image, blob, layer } = await mirrored('immediate', 80_000, 70_000)
  const start = async (more: object = {}) => {
    const { body } = await stack.api('POST', '/store/reclaim', { repository: name, ...more })
    return (await stack.waitForTask(body.id)).result
  }
  upstream.when(new RegExp(`HEAD .*${layer(1)}`), status(404))
  expect(await start({ dryRun: true })).toMatchObject({ reclaimed: 1, reclaimedBytes: 80_000, kept: 1 })
  const before = await remoteBytes()
  expect(await start()).toMatchObject({ reclaimed: 1, reclaimedBytes: 80_000, digests: [layer(0)], keptBytes: 70_000 })
  expect((await remoteBytes()).bytes).toBe(before.bytes + 80_000)
  upstream.mend()
  expect(fetched(layer(0))).toHaveLength(1)
  expect(digestOf(await (await fetch(blob(0))).arrayBuffer())).toBe(layer(0))
  expect(fetched(layer(0))).toHaveLength(2)
  await untilKept(layer(0))
  expect(digestOf(await (await fetch(blob(0))).arrayBuffer())).toBe(layer(0))
  expect(fetched(layer(0))).toHaveLength(2)
  expect(digestOf(await (await fetch(`${stack.url}/v2/${name}/blobs/${image.config.digest}`)).arrayBuffer())).toBe(
    image.config.digest,
  )
}, 60_000)

test('a remote that alone can give a layer is not deleted, unless that is forced', async () => {
  const { name, blob } = await mirrored('on_demand', 60_000)
  const path = `/remotes/${encodeURIComponent(name)}`
  expect((await stack.api('DELETE', path)).body).toMatchObject({ status: 409, code: 'remote_needed' })
  expect((await fetch(blob(0))).status).toBe(200)
  const other = await mirrored('on_demand', 61_000)
  const forced = `/remotes/${encodeURIComponent(other.name)}?force=true`
  expect((await stack.api('DELETE', forced)).status).toBe(204)
  const answer = await fetch(other.blob(0))
  expect([answer.status, await answer.text()]).toEqual([503, expect.stringContaining('no remote is known')])
}, 60_000)

test.each(['on_demand', 'immediate'])(
  'layers whose remote was deleted by force come back by a sync of one that is made anew, %s',
  async (policy) => {
    const { name, blob, layer } = await mirrored('on_demand', 30_000, 20_000)
    expect((await stack.api('DELETE', `/remotes/${encodeURIComponent(name)}?force=true`)).status).toBe(204)
    expect((await fetch(blob(0))).status).toBe(503)
    await make(stack, '/remotes', localRemote(name, upstream.url, name, { retries: 0, policy }))
    expect((await sync(stack, name, name)).result).toMatchObject({ created: false })
    expect(fetched(layer(0))).toHaveLength(policy === 'immediate' ? 1 : 0)
    for (const i of [0, 1]) expect(digestOf(await (await fetch(blob(i))).arrayBuffer())).toBe(layer(i))
  },
  60_000,
)

test('a layer that is streamed comes whole to all who ask for it just as a fetch of it ends', async () => {
  const { blob, layer } = await mirrored('streamed', 150_000)
  for (let i = 0; i < 40; i++) {
    const answers = Array.from({ length: 6 }, async () => digestOf(await (await fetch(blob(0))).arrayBuffer()))
    expect(new Set(await Promise.all(answers))).toEqual(new Set([layer(0)]))
  }
}, 60_000)

test('a remote with the policy streamed serves layers and never keeps them', async () => {
  const before = await remoteBytes()
  const { blob, layer } = await mirrored('streamed', 300_000)
  const read = async () => digestOf(await (await fetch(blob(0))).arrayBuffer())
  expect(await read()).toBe(layer(0))
  expect(fetched(layer(0))).toHaveLength(1)
  // A reader has the last bytes before the fetch has ended, and a request between the two is served from it.
  while (fetched(layer(0)).length < 2) expect(await read()).toBe(layer(0))
  expect((await remoteBytes()).objects).toBe(before.objects + 1)
}, 60_000)

/** Readers get the last bytes before the store has them for good. */
async function untilKept(digest: string): Promise<void> {
  for (;;) {
    const { body } = await stack.api('GET', `/store/explain/${digest}`)
    if (body.state === 'present') return
  }
}
