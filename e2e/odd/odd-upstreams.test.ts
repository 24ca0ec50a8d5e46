import type { Blob, Manifest } from '@berth/registry-client/misbehaving-upstream'
import { expect, test } from '@jest/globals'
import { basic, localRemote, make, manifestTypes, sha256 } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'
import type { Odd, OddUpstream } from '../servers/odd-upstream.ts'
import { oddUpstreams } from '../servers/odd-upstreams.ts'

const stack = withBerth()
const upstream = withUpstream()
let count = 0

const get = async (path: string) => {
  const answer = await fetch(`${stack.url}/v2/${path}`, { headers: { accept: manifestTypes } })
  const digest = sha256(Buffer.from(await answer.arrayBuffer()))
  return { status: answer.status, type: answer.headers.get('content-type'), digest }
}
const manifestType = ({ mediaType }: Manifest) => mediaType

/** Expects that all of it can be pulled below a name, by whatever way it came. */
async function expectPulled(name: string, { tags, byDigest = [] }: Odd): Promise<void> {
  for (const [tag, { manifest, blobs }] of Object.entries(tags)) {
    const wanted = { status: 200, type: manifestType(manifest), digest: manifest.digest }
    expect(await get(`${name}/manifests/${tag}`)).toEqual(wanted)
    for (const blob of blobs)
      expect(await get(`${name}/blobs/${blob.digest}`)).toMatchObject({ status: 200, digest: blob.digest })
  }
  for (const manifest of byDigest)
    expect(await get(`${name}/manifests/${manifest.digest}`)).toMatchObject({ status: 200, digest: manifest.digest })
}

const odd = oddUpstreams.map((one) => [one.name, one] as const)
const ways = [
  { policy: 'immediate', mode: 'additive', onError: 'fail' },
  { policy: 'on_demand', mode: 'mirror', onError: 'fail' },
  { policy: 'immediate', mode: 'mirror', onError: 'skip' },
]

test.each(odd)(
  'where %s, a sync brings all of it, in every way',
  async (_name, { put }) => {
    await Promise.all(ways.map((way) => syncAndPull(put, way)))
    upstream.mend()
  },
  60_000,
)

async function syncAndPull(put: OddUpstream['put'], { policy, ...options }: (typeof ways)[number]): Promise<void> {
  const name = `odd/sync-${++count}`
  const scene = put(upstream, name)
  await make(stack, '/remotes', localRemote(name, upstream.url, name, { retries: 0, policy, ...scene.remote }))
  await make(stack, '/repositories', { name })
  await make(stack, '/distributions', { name, basePath: name, repository: name, access: 'public' })
  const { status, body } = await stack.api('POST', '/syncs', { repository: name, remote: name, ...options })
  expect({ status, body }).toMatchObject({ status: 202 })
  const result = { failures: [], ...scene.result }
  expect(await stack.waitForTask(body.id)).toMatchObject({ state: 'completed', error: null, result })
  await expectPulled(name, scene)
}

test.each(odd)('where %s, what is pulled through comes as it is', async (_name, { put }) => {
  const name = `odd/pulled-${++count}`
  const base = `hub${count}`
  const scene = put(upstream, name)
  const remote = { ...localRemote(base, upstream.url, '', { retries: 0, ...scene.remote }), upstreamName: null }
  await make(stack, '/remotes', remote)
  const pullThrough = { remote: base, trigger: 'anonymous' }
  await make(stack, '/distributions', { name: base, basePath: base, access: 'public', pullThrough })
  await expectPulled(`${base}/${name}`, scene)
  upstream.mend()
})

const put = (path: string, body: Buffer, type: string) =>
  fetch(`${stack.url}/v2/${path}`, {
    method: 'PUT',
    headers: { authorization: basic(stack), 'content-type': type },
    body: new Uint8Array(body),
  })

async function pushBlob(name: string, { digest, bytes }: Blob): Promise<void> {
  const headers = { authorization: basic(stack), 'content-type': 'application/octet-stream' }
  const url = `${stack.url}/v2/${name}/blobs/uploads/?digest=${digest}`
  expect((await fetch(url, { method: 'POST', headers, body: new Uint8Array(bytes) })).status).toBe(201)
}

test.each(odd)('what lies there where %s can be pushed', async (_name, one) => {
  const name = `odd/pushed-${++count}`
  const scene = one.put(upstream, name)
  await make(stack, '/repositories', { name })
  await make(stack, '/distributions', { name, basePath: name, repository: name, access: 'public' })
  for (const { digest, bytes, mediaType } of scene.byDigest ?? []) {
    for (const { digest: named } of (JSON.parse(bytes.toString()) as { layers: Blob[] }).layers)
      await pushBlob(name, await upstreamBlob(name, named))
    const { config } = JSON.parse(bytes.toString()) as { config: Blob }
    await pushBlob(name, await upstreamBlob(name, config.digest))
    expect((await put(`${name}/manifests/${digest}`, bytes, mediaType)).status).toBe(201)
  }
  for (const [tag, { manifest, blobs }] of Object.entries(scene.tags)) {
    for (const blob of blobs) await pushBlob(name, blob)
    const answer = await put(`${name}/manifests/${tag}`, manifest.bytes, manifest.mediaType)
    expect({ status: answer.status, body: await answer.text() }).toEqual({ status: 201, body: '' })
  }
  upstream.mend()
  await expectPulled(name, scene)
})

async function upstreamBlob(name: string, digest: Blob['digest']): Promise<Blob> {
  const answer = await fetch(`${upstream.url}/v2/${name}/blobs/${digest}`)
  return { digest, bytes: Buffer.from(await answer.arrayBuffer()) }
}
