import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { pushBlob, pushRandomImage, send } from '../berth/push.ts'
import { basic, localRemote, make, sha256, sync } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { missingPrograms } from '../servers/programs.ts'
import { startDockerRegistry, type Upstream } from '../servers/upstream.ts'

const stack = withBerth({ own: true })
const target = () => ({ url: stack.url, authorization: basic(stack) })

/** Where the bytes of a digest lie, whatever their generation. */
function fileOf(digest: string): string {
  const hex = digest.slice('sha256:'.length)
  const folder = path.join(stack.home, 'blobs/blobs/sha256', hex.slice(0, 2))
  const name = readdirSync(folder).find((one) => one.startsWith(`${hex}.`))
  if (!name) throw new Error(`${digest} is not stored`)
  return path.join(folder, name)
}

async function runTask(way: string, body: object = {}) {
  const { status, body: task } = await stack.api('POST', `/store/${way}`, body)
  expect(status).toBe(202)
  const ended = await stack.waitForTask(task.id)
  expect(ended).toMatchObject({ state: 'completed', error: null })
  return ended.result
}

test('F23: a byte that turned on the disk is found, never served as the blob again, and healed by a push', async () => {
  const bytes = Buffer.from('these bytes will turn')
  const { digest } = await pushBlob(target(), 'damage/pushed', bytes)
  const file = fileOf(digest)
  writeFileSync(file, Buffer.from('these bytes have rot!'))
  expect(await runTask('scrub')).toMatchObject({ rotten: 1, damaged: [{ digest, damage: 'rotten' }] })
  expect((await stack.api('GET', '/store/damage')).body.items).toMatchObject([{ digest, damage: 'rotten' }])
  // No manifest names it: to those who push it is not here, and is to be pushed again.
  await send(target(), 'GET', `/v2/damage/pushed/blobs/${digest}`, 404)
  await send(target(), 'HEAD', `/v2/damage/pushed/blobs/${digest}`, 404)
  await pushBlob(target(), 'damage/pushed', bytes)
  const pulled = await send(target(), 'GET', `/v2/damage/pushed/blobs/${digest}`, 200)
  expect(sha256(new Uint8Array(await pulled.arrayBuffer()))).toBe(digest)
  expect((await stack.api('GET', '/store/damage')).body.items).toEqual([])
}, 60_000)

test.each([
  ['in one request', async (bytes: Buffer) => pushBlob(target(), 'damage/again', bytes)],
  ['in chunks', pushInChunks],
])(
  'a push %s heals what rotted where it lies, before anybody has found it',
  async (how, push) => {
    const bytes = Buffer.from(`these bytes will turn unseen, pushed ${how}`)
    const { digest } = await pushBlob(target(), 'damage/again', bytes)
    writeFileSync(fileOf(digest), Buffer.from(bytes).fill('x'))
    const read = async () => {
      const pulled = await send(target(), 'GET', `/v2/damage/again/blobs/${digest}`, 200)
      return sha256(new Uint8Array(await pulled.arrayBuffer()))
    }
    expect(await read()).not.toBe(digest)
    await push(bytes)
    await until('the bytes are healed', async () => (await read()) === digest)
    await until('it is in the log', async () =>
      (stack.logs() + readFileSync(path.join(stack.home, 'berth.log'), 'utf8')).includes('damaged bytes are replaced'),
    )
  },
  60_000,
)

test('a manifest that rotted is never answered, and is answered again once a push has healed it', async () => {
  const image = await pushRandomImage(target(), 'damage/manifest', 'one')
  const file = fileOf(image.digest)
  const bytes = readFileSync(file)
  const again = (status: number) =>
    send(target(), 'PUT', '/v2/damage/manifest/manifests/one', status, {
      body: new Uint8Array(bytes),
      headers: { 'content-type': JSON.parse(bytes.toString()).mediaType },
    })
  writeFileSync(file, Buffer.from(bytes).fill(' '))
  for (const reference of ['one', image.digest])
    await send(target(), 'GET', `/v2/damage/manifest/manifests/${reference}`, 503)
  await again(201)
  const pulled = await send(target(), 'GET', '/v2/damage/manifest/manifests/one', 200)
  expect(sha256(new Uint8Array(await pulled.arrayBuffer()))).toBe(image.digest)
}, 60_000)

test('a blob that is shorter than it was stored is told at once, not begun', async () => {
  const bytes = Buffer.alloc(300_000, 'whole')
  const { digest } = await pushBlob(target(), 'damage/short', bytes)
  const file = fileOf(digest)
  writeFileSync(file, bytes.subarray(0, 1_000))
  await send(target(), 'GET', `/v2/damage/short/blobs/${digest}`, 503)
  writeFileSync(file, bytes)
  await send(target(), 'GET', `/v2/damage/short/blobs/${digest}`, 200)
}, 60_000)

async function pushInChunks(bytes: Buffer): Promise<void> {
  const begun = await send(target(), 'POST', '/v2/damage/again/blobs/uploads/', 202)
  const location = new URL(begun.headers.get('location') ?? '', stack.url)
  const patched = await send(target(), 'PATCH', location.pathname + location.search, 202, {
    body: new Uint8Array(bytes),
  })
  const end = new URL(patched.headers.get('location') ?? '', stack.url)
  end.searchParams.set('digest', sha256(bytes))
  await send(target(), 'PUT', end.pathname + end.search, 201)
}

const missing = missingPrograms('docker-registry')
const group = missing.length > 0 ? describe.skip : describe
group(`with a registry to fetch from${missing.length > 0 ? ` (not installed: ${missing.join(', ')})` : ''}`, () => {
  let upstream: Upstream
  beforeAll(async () => {
    upstream = await startDockerRegistry()
  }, 30_000)
  afterAll(() => upstream?.stop())

  test('a repair fetches lost layers and manifests from where they were synced, and they are served again', async () => {
    const image = await pushRandomImage({ url: upstream.url }, 'whole', 'one', [2_000, 3_000])
    await make(stack, '/remotes', localRemote('whole', upstream.url, 'whole'))
    await make(stack, '/repositories', { name: 'damage/synced' })
    await make(stack, '/distributions', { name: 'synced', basePath: 'damage/synced', repository: 'damage/synced' })
    await sync(stack, 'damage/synced', 'whole')
    const [gone, rotten] = image.layers as [string, string]
    rmSync(fileOf(gone))
    writeFileSync(fileOf(rotten), Buffer.alloc(3_000))
    writeFileSync(fileOf(image.digest), readFileSync(fileOf(image.digest)).reverse())

    const result = await runTask('repair', { repository: 'damage/synced' })
    expect(result).toMatchObject({ missing: 1, rotten: 2, lost: [] })
    expect(result.restored.map((one: { digest: string; remote: string }) => [one.digest, one.remote]).sort()).toEqual(
      [gone, rotten, image.digest].sort().map((digest) => [digest, 'whole']),
    )
    for (const way of [`blobs/${gone}`, `blobs/${rotten}`, `manifests/${image.digest}`]) {
      const bytes = await until(`${way} is served`, async () => {
        const answer = await fetch(`${stack.url}/v2/damage/synced/${way}`, { headers: { authorization: basic(stack) } })
        const body = new Uint8Array(await answer.arrayBuffer())
        return answer.status === 200 ? body : undefined
      })
      expect(sha256(bytes)).toBe(way.split('/')[1])
    }
  }, 60_000)

  test('what no remote gives again is reported with the repositories that lack it', async () => {
    const { digest } = await pushBlob(target(), 'damage/pushed', Buffer.from('only here'))
    rmSync(fileOf(digest))
    const image = await pushRandomImage(target(), 'damage/alone', 'one')
    const layer = image.layers[0] as string
    rmSync(fileOf(layer))
    const result = await runTask('repair', { repository: 'damage/alone' })
    expect(result).toMatchObject({
      restored: [],
      lost: [{ digest: layer, damage: 'missing', repositories: ['damage/alone'] }],
    })
    expect((await stack.api('POST', '/store/repair', { version: 1 })).body).toMatchObject({
      status: 400,
      field: 'version',
    })
    expect((await stack.api('POST', '/store/repair', { repository: 'no/such' })).status).toBe(404)
  }, 60_000)
})
