import { type Image, imageOf, type Manifest, manifestOf } from '@berth/registry-client/misbehaving-upstream'
import { describe, expect, test } from '@jest/globals'
import type { TaskView } from '../berth/berth.ts'
import { getManifest, localRemote, make, repositoryPath, startSync, sync } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

const ociIndex = 'application/vnd.oci.image.index.v1+json'
let count = 0

const stack = withBerth()
const upstream = withUpstream({ referrersApi: false })

type Child = { image?: Image; index?: Manifest; platform?: string; about?: Image }
function indexOf(children: Child[]): Manifest {
  const manifests = children.map(({ image, index, platform, about }) => {
    const manifest = image?.manifest ?? index
    if (!manifest) throw new Error('a child is an image or an index')
    const { digest, bytes, mediaType } = manifest
    const [os, architecture, variant] = platform?.split('/') ?? []
    const annotations = about && { 'vnd.docker.reference.digest': about.manifest.digest }
    return {
      mediaType,
      digest,
      size: bytes.length,
      ...(os ? { platform: { os, architecture, variant } } : {}),
      annotations,
    }
  })
  return manifestOf({ mediaType: ociIndex, schemaVersion: 2, manifests } as never)
}

type Scene = { name: string; amd64: Image; arm64: Image; proof: Image; index: Manifest }
/** An upstream repository whose tag `multi` is an index of two images, one of them with an attestation. */
async function makeScene(more: object): Promise<Scene> {
  const name = `platforms/${++count}`
  const [amd64, arm64, proof] = ['amd64', 'arm64', 'proof'].map((what) => imageOf(`${name} ${what}`, 5_000)) as [
    Image,
    Image,
    Image,
  ]
  for (const image of [amd64, arm64, proof]) upstream.add(name, [], image)
  const index = indexOf([
    { image: amd64, platform: 'linux/amd64' },
    { image: arm64, platform: 'linux/arm64/v8' },
    { image: proof, platform: 'unknown/unknown', about: arm64 },
  ])
  upstream.addManifest(name, index, 'multi')
  await make(stack, '/remotes', localRemote(name, upstream.url, name, { retries: 0, ...more }))
  await make(stack, '/repositories', { name })
  await make(stack, '/distributions', { name, basePath: name, repository: name, access: 'public' })
  return { name, amd64, arm64, proof, index }
}
const pull = (name: string, reference: string) => getManifest(`${stack.url}/v2/${name}/manifests/${reference}`)
const served = async ({ name, ...images }: Scene, which: ('amd64' | 'arm64' | 'proof')[]) =>
  Promise.all(which.map(async (one) => (await pull(name, images[one].manifest.digest)).status))
const asked = (digest: string) => upstream.seen.some(({ path }) => path.includes(digest))
async function mirror(name: string): Promise<TaskView> {
  const { body } = await stack.api('POST', '/syncs', { repository: name, remote: name, mode: 'mirror' })
  return stack.waitForTask(body.id)
}
async function contentOf(name: string, type: string): Promise<{ digest: string; sparse: boolean }[]> {
  const { latestVersion } = (await stack.api('GET', repositoryPath(name))).body
  return (await stack.api('GET', `${repositoryPath(name)}/versions/${latestVersion}/content?type=${type}`)).body.items
}
const setPlatforms = async (name: string, platforms: string[]) => {
  expect((await stack.api('PATCH', `/remotes/${encodeURIComponent(name)}`, { platforms })).status).toBe(200)
}

describe('a remote that wants some platforms', () => {
  test('takes these and their attestations, serves the index byte for byte, and marks it sparse', async () => {
    const scene = await makeScene({ platforms: ['linux/arm64'] })
    expect((await sync(stack, scene.name, scene.name)).result).toMatchObject({ version: 1, tagCounts: { added: 1 } })
    expect((await pull(scene.name, 'multi')).text).toBe(scene.index.bytes.toString())
    expect(await served(scene, ['amd64', 'arm64', 'proof'])).toEqual([404, 200, 200])
    expect([scene.amd64.manifest, ...scene.amd64.layers].map(({ digest }) => asked(digest))).toEqual([false, false])
    expect(await contentOf(scene.name, 'tag')).toMatchObject([{ name: 'multi', sparse: true }])
    const sparse = (await contentOf(scene.name, 'manifest')).filter((one) => one.sparse)
    expect(sparse.map(({ digest }) => digest)).toEqual([scene.index.digest])
  })

  test('does not ask again for what it leaves out, and makes no version of it', async () => {
    const scene = await makeScene({ platforms: ['linux/amd64'] })
    await sync(stack, scene.name, scene.name)
    const before = upstream.seen.length
    expect((await sync(stack, scene.name, scene.name)).result).toMatchObject({ version: 1, created: false })
    expect(await mirror(scene.name)).toMatchObject({ state: 'completed', result: { version: 1, created: false } })
    const fetched = upstream.seen
      .slice(before)
      .filter(({ method, path }) => method === 'GET' && /manifests|blobs/.test(path))
    expect(fetched).toEqual([])
    expect(asked(scene.arm64.manifest.digest)).toBe(false)
  })

  test('fetches what is missing when it wants more, though the tag did not move', async () => {
    const scene = await makeScene({ platforms: ['linux/amd64'] })
    await sync(stack, scene.name, scene.name)
    await setPlatforms(scene.name, ['linux/amd64', 'linux/arm64/v8'])
    expect((await sync(stack, scene.name, scene.name)).result).toMatchObject({ version: 2, created: true })
    expect(await served(scene, ['amd64', 'arm64', 'proof'])).toEqual([200, 200, 200])
    expect(await contentOf(scene.name, 'tag')).toMatchObject([{ sparse: false }])
    await setPlatforms(scene.name, [])
    expect((await sync(stack, scene.name, scene.name)).result).toMatchObject({ version: 2, created: false })
  })

  test('drops what it no longer wants as a mirror, and nothing otherwise; a rollback brings it back', async () => {
    const scene = await makeScene({})
    await sync(stack, scene.name, scene.name)
    await setPlatforms(scene.name, ['linux/amd64'])
    expect((await sync(stack, scene.name, scene.name)).result).toMatchObject({ version: 1, created: false })
    expect(await mirror(scene.name)).toMatchObject({ state: 'completed', result: { version: 2, created: true } })
    expect(await served(scene, ['amd64', 'arm64', 'proof'])).toEqual([200, 404, 404])
    expect((await pull(scene.name, 'multi')).text).toBe(scene.index.bytes.toString())
    await stack.api('POST', `${repositoryPath(scene.name)}/rollback`, { version: 1 })
    expect(await served(scene, ['amd64', 'arm64', 'proof'])).toEqual([200, 200, 200])
  })

  test('leaves out what another repository has', async () => {
    const whole = await makeScene({})
    await sync(stack, whole.name, whole.name)
    const name = `platforms/${++count}`
    await make(stack, '/remotes', localRemote(name, upstream.url, whole.name, { platforms: ['linux/amd64'] }))
    await make(stack, '/repositories', { name })
    await make(stack, '/distributions', { name, basePath: name, repository: name, access: 'public' })
    await sync(stack, name, name)
    expect(await served({ ...whole, name }, ['amd64', 'arm64', 'proof'])).toEqual([200, 404, 404])
  })

  test('fails on an index that has none of them, and says what there is', async () => {
    const scene = await makeScene({ platforms: ['linux/s390x'] })
    const task = await stack.waitForTask((await startSync(stack, scene.name, scene.name)).id)
    expect(task).toMatchObject({ state: 'failed', error: { code: 'platform_missing' } })
    for (const word of ['"multi"', 'linux/s390x', 'linux/arm64/v8']) expect(task.error?.message).toContain(word)
  })

  test('looks into indexes within an index, and is content when one of them has what it wants', async () => {
    const scene = await makeScene({ platforms: ['linux/amd64'] })
    const [one, two] = [
      indexOf([{ image: scene.amd64, platform: 'linux/amd64' }]),
      indexOf([{ image: scene.arm64, platform: 'linux/arm64' }]),
    ]
    for (const inner of [one, two]) upstream.addManifest(scene.name, inner)
    upstream.addManifest(scene.name, indexOf([{ index: one }, { index: two }]), 'nested')
    await sync(stack, scene.name, scene.name)
    expect(await served(scene, ['amd64', 'arm64'])).toEqual([200, 404])
    expect([(await pull(scene.name, one.digest)).status, (await pull(scene.name, 'nested')).status]).toEqual([200, 200])
    upstream.addManifest(scene.name, indexOf([{ index: two }]), 'barren')
    const task = await stack.waitForTask((await startSync(stack, scene.name, scene.name)).id)
    expect(task).toMatchObject({ state: 'failed', error: { code: 'platform_missing' } })
  })
})
