import { createHash, randomBytes } from 'node:crypto'
import {
  type Image,
  imageOf,
  type Manifest,
  type MisbehavingUpstream,
  manifestOf,
  startMisbehavingUpstream,
  status,
} from '@berth/registry-client/misbehaving-upstream'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import type { TaskView } from '../berth/berth.ts'
import { query } from '../berth/databases.ts'
import { pushRandomImage } from '../berth/push.ts'
import { basic, getManifest, localRemote, make, sync } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

const stack = withBerth()
let count = 0
const upstreams: Record<'old' | 'new', MisbehavingUpstream> = {} as never

beforeAll(async () => {
  upstreams.old = await startMisbehavingUpstream({ referrersApi: false })
  upstreams.new = await startMisbehavingUpstream()
}, 90_000)
afterAll(async () => {
  await Promise.all(Object.values(upstreams).map((one) => one.close()))
}, 60_000)

const artifacts = 'application/vnd.oci.image.manifest.v1+json'
/** Something that refers to a manifest; it has a blob of its own. */
function artifactOf(what: string, { manifest }: { manifest: Manifest }): Image {
  const image = imageOf(what, 300)
  const subject = { mediaType: manifest.mediaType, digest: manifest.digest, size: manifest.bytes.length }
  const body = JSON.parse(image.manifest.bytes.toString()) as object
  return { ...image, manifest: manifestOf({ ...body, mediaType: artifacts, subject } as never) }
}
const tagOf = ({ manifest }: Image, suffix = '') => manifest.digest.replace(':', '-') + suffix

type Scene = { name: string; upstream: MisbehavingUpstream; image: Image; other: Image }
/** An upstream repository with the tags `app` and `other`. */
async function makeScene(upstream: MisbehavingUpstream, more: object = {}): Promise<Scene> {
  const name = `companions/${++count}`
  const [image, other] = [imageOf(`${name} app`, 2_000), imageOf(`${name} other`, 2_000)]
  upstream.add(name, 'app', image)
  upstream.add(name, 'other', other)
  await make(stack, '/remotes', localRemote(name, upstream.url, name, { retries: 0, ...more }))
  await make(stack, '/repositories', { name })
  await make(stack, '/distributions', { name, basePath: name, repository: name, access: 'public' })
  return { name, upstream, image, other }
}
const has = async (name: string, reference: string) =>
  (await getManifest(`${stack.url}/v2/${name}/manifests/${reference}`)).status === 200
const referrersOf = async (name: string, { manifest }: Image) => {
  const answer = await fetch(`${stack.url}/v2/${name}/referrers/${manifest.digest}`)
  return ((await answer.json()) as { manifests: { digest: string }[] }).manifests.map(({ digest }) => digest)
}
async function mirror(name: string): Promise<TaskView> {
  const { body } = await stack.api('POST', '/syncs', { repository: name, remote: name, mode: 'mirror', force: true })
  return stack.waitForTask(body.id)
}
/** As if a day had gone by since the last syncs. */
async function passDay(): Promise<void> {
  const sql = "update sync.sync_run set started_at = started_at - interval '25 hours'"
  await query(stack.databaseUrl as string, sql)
  await query(stack.databaseUrl as string, "update sync.remote set updated_at = updated_at - interval '25 hours'")
}
/** What upstream was asked for while something was done, by method and last part of the path. */
async function asked({ upstream }: Scene, work: () => Promise<unknown>): Promise<string[]> {
  const before = upstream.seen.length
  await work()
  return upstream.seen.slice(before).map(({ method, path }) => `${method} ${path.replace(/^.*\/(?=[^/]*$)/, '')}`)
}

describe('by tags, from an upstream that has no API for referrers', () => {
  test('signatures and SBOMs of what is synced come with it, and the signature of an SBOM; those of other images do not', async () => {
    const scene = await makeScene(upstreams.old, { includeTags: ['a*'], excludeTags: ['sha256-*', '*.sig'] })
    const { name, upstream, image, other } = scene
    const [signature, sbom, deep] = ['signature', 'sbom', 'deep'].map((what) => imageOf(`${name} ${what}`, 100)) as [
      Image,
      Image,
      Image,
    ]
    upstream.add(name, [tagOf(image, '.sig'), tagOf(other, '.sig')], signature)
    upstream.add(name, tagOf(image, '.sbom'), sbom)
    upstream.add(name, tagOf(sbom, '.sig'), deep)
    expect((await sync(stack, name, name)).result).toMatchObject({ version: 1, tagCounts: { added: 4 } })
    for (const tag of [tagOf(image, '.sig'), tagOf(image, '.sbom'), tagOf(sbom, '.sig')])
      expect(await has(name, tag)).toBe(true)
    expect(await has(name, tagOf(other, '.sig'))).toBe(false)
    expect((await sync(stack, name, name)).result).toMatchObject({ created: false })
    expect(await mirror(name)).toMatchObject({ state: 'completed', result: { created: false } })
  })

  test('the index of the referrers tag schema comes with all it names, and is answered through the API', async () => {
    const { name, upstream, image } = await makeScene(upstreams.old)
    const artifact = artifactOf(`${name} artifact`, image)
    upstream.add(name, [], artifact)
    const { mediaType, digest, bytes } = artifact.manifest
    const manifests = [{ mediaType, digest, size: bytes.length }]
    const index = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests }
    upstream.addManifest(name, manifestOf(index), tagOf(image))
    await sync(stack, name, name)
    expect(await referrersOf(name, image)).toEqual([digest])
  })

  test('of a manifest with a SHA-512 digest the index under the shortened tag comes, and no tag is asked for that cannot be', async () => {
    const { name, upstream, image, other } = await makeScene(upstreams.old)
    const hash = createHash('sha512').update(image.manifest.bytes).digest('hex')
    const digest = `sha512:${hash}` as Manifest['digest']
    const manifest = { ...image.manifest, digest }
    upstream.addManifest(name, manifest)
    const artifact = artifactOf(`${name} artifact`, { manifest })
    upstream.add(name, [], artifact)
    const { mediaType, bytes } = artifact.manifest
    const manifests = [{ mediaType, digest: artifact.manifest.digest, size: bytes.length }]
    const index = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests }
    const stem = `sha512-${hash.slice(0, 64)}`
    upstream.addManifest(name, manifestOf(index), stem)
    for (const includeTags of [[digest], [digest, 'o*']]) {
      await stack.api('PATCH', `/remotes/${encodeURIComponent(name)}`, { includeTags })
      await sync(stack, name, name)
      expect(await mirror(name)).toMatchObject({ state: 'completed', result: { tagCounts: { removed: 0 } } })
      expect(await has(name, digest)).toBe(true)
      expect(await referrersOf(name, { ...image, manifest })).toEqual([artifact.manifest.digest])
      expect(await has(name, stem)).toBe(true)
    }
    expect(await has(name, other.manifest.digest)).toBe(true)
  })

  test('where tags are named, companions are asked for once by name, nothing is listed, and the API is tried once', async () => {
    const scene = await makeScene(upstreams.old, { includeTags: ['app', 'other'] })
    const { name, upstream, image, other } = scene
    const signature = imageOf(`${name} signature`, 100)
    upstream.add(name, tagOf(image, '.sig'), signature)
    const requests = await asked(scene, () => sync(stack, name, name))
    const probes = [image, other, signature].flatMap((one) =>
      ['.sig', '.att', '.sbom', ''].map((end) => `HEAD ${tagOf(one, end)}`),
    )
    expect(requests.filter((one) => one.startsWith('HEAD sha256-')).sort()).toEqual(probes.sort())
    expect(requests.filter((one) => one.includes('list'))).toEqual([])
    expect(upstream.seen.filter(({ path }) => path.startsWith(`/v2/${name}/referrers`))).toHaveLength(1)
    expect(await has(name, tagOf(image, '.sig'))).toBe(true)
    expect(await mirror(name)).toMatchObject({ state: 'completed', result: { created: false } })
  })

  test('a new signature of a tag that did not move comes with the next sync, with no request but its own', async () => {
    const scene = await makeScene(upstreams.old)
    const { name, upstream, image } = scene
    await sync(stack, name, name)
    const signature = imageOf(`${name} signature`, 100)
    upstream.add(name, tagOf(image, '.sig'), signature)
    const requests = await asked(scene, async () =>
      expect((await sync(stack, name, name)).result).toMatchObject({
        created: true,
        tags: { added: [tagOf(image, '.sig')] },
      }),
    )
    const blobs = [signature.config, ...signature.layers].map(({ digest }) => `GET ${digest}`)
    expect(requests.filter((one) => one.startsWith('GET sha256') && !blobs.includes(one))).toHaveLength(2)
  })
})

describe('through the API for referrers', () => {
  test('what refers to a tag comes without one, with what refers to that, once for both modes', async () => {
    const { name, upstream, image } = await makeScene(upstreams.new, { includeTags: ['app'] })
    const sbom = artifactOf(`${name} sbom`, image)
    const signature = artifactOf(`${name} signature of sbom`, sbom)
    for (const one of [sbom, signature]) upstream.add(name, [], one)
    expect((await sync(stack, name, name)).result).toMatchObject({ version: 1, tagCounts: { added: 1 } })
    expect([await referrersOf(name, image), await referrersOf(name, sbom)]).toEqual([
      [sbom.manifest.digest],
      [signature.manifest.digest],
    ])
    expect((await sync(stack, name, name)).result).toMatchObject({ created: false })
    expect(await mirror(name)).toMatchObject({ state: 'completed', result: { created: false } })
  })

  test('what a list of referrers names and that refers to nothing, or to something else, does not come, and the rest does', async () => {
    const { name, upstream, image, other } = await makeScene(upstreams.new, { includeTags: ['app'] })
    const artifact = artifactOf(`${name} artifact`, image)
    const strangers = [imageOf(`${name} stranger`, 300), artifactOf(`${name} of other`, other)]
    for (const one of [artifact, ...strangers]) upstream.add(name, [], one)
    const manifests = [artifact, ...strangers].map(({ manifest: { mediaType, digest, bytes } }) => ({
      mediaType,
      digest,
      size: bytes.length,
    }))
    const mediaType = 'application/vnd.oci.image.index.v1+json'
    const body = JSON.stringify({ schemaVersion: 2, mediaType, manifests })
    upstream.when(
      new RegExp(`GET .*/${name}/referrers/${image.manifest.digest}`),
      status(200, { 'content-type': mediaType }, body),
    )
    expect((await sync(stack, name, name)).state).toBe('completed')
    expect(await referrersOf(name, image)).toEqual([artifact.manifest.digest])
    for (const { manifest } of strangers) expect(await has(name, manifest.digest)).toBe(false)
    // Nor in a mirror, whose list of what stays must not name them either.
    await passDay()
    expect(await mirror(name)).toMatchObject({ state: 'completed', result: { created: false } })
    upstream.mend()
  })

  test('one that is new for a tag that did not move comes once a day is over; until then each tag costs one request', async () => {
    const scene = await makeScene(upstreams.new)
    const { name, upstream, image, other } = scene
    await sync(stack, name, name)
    const sbom = artifactOf(`${name} sbom`, image)
    upstream.add(name, [], sbom)
    const requests = await asked(scene, () => sync(stack, name, name))
    expect(requests.sort()).toEqual(['GET list?n=1000', 'GET list?n=1000&last=other', 'HEAD app', 'HEAD other'])
    await passDay()
    const later = await asked(scene, async () =>
      expect((await sync(stack, name, name)).result).toMatchObject({ version: 2, created: true }),
    )
    for (const { manifest } of [image, other]) expect(later).toContain(`GET ${manifest.digest}`)
    expect(await referrersOf(name, image)).toEqual([sbom.manifest.digest])
  })

  test('what refers to a tag that moved comes at once, and after the remote was changed all is asked for again', async () => {
    const scene = await makeScene(upstreams.new)
    const { name, upstream, image } = scene
    await sync(stack, name, name)
    const next = imageOf(`${name} next`, 2_000)
    upstream.add(name, 'other', next)
    const [ofImage, ofNext] = [artifactOf(`${name} one`, image), artifactOf(`${name} two`, next)]
    for (const one of [ofImage, ofNext]) upstream.add(name, [], one)
    await sync(stack, name, name)
    expect([await referrersOf(name, image), await referrersOf(name, next)]).toEqual([[], [ofNext.manifest.digest]])
    await stack.api('PATCH', `/remotes/${encodeURIComponent(name)}`, { retries: 1 })
    await sync(stack, name, name)
    expect(await referrersOf(name, image)).toEqual([ofImage.manifest.digest])
  })

  test('a mirror that does not ask again keeps what refers to a tag, whether tags are listed or named', async () => {
    for (const includeTags of [[], ['app']]) {
      const scene = await makeScene(upstreams.new, { includeTags })
      const { name, upstream, image } = scene
      const sbom = artifactOf(`${name} sbom`, image)
      upstream.add(name, [], sbom)
      await mirror(name)
      expect(await referrersOf(name, image)).toEqual([sbom.manifest.digest])
      const requests = await asked(scene, async () =>
        expect((await mirror(name)).result).toMatchObject({ created: false }),
      )
      expect(requests.filter((request) => request.startsWith('GET sha256'))).toEqual([])
      expect(await referrersOf(name, image)).toEqual([sbom.manifest.digest])
    }
  })

  test('a mirror keeps what refers to a platform of a tag that did not move, and drops what goes with its tag', async () => {
    const { name, upstream, image, other } = await makeScene(upstreams.new, { excludeTags: ['app'] })
    const { mediaType, digest, bytes } = image.manifest
    const platform = { os: 'linux', architecture: 'amd64' }
    const manifests = [{ mediaType, digest, size: bytes.length, platform }]
    const index = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests }
    upstream.addManifest(name, manifestOf(index), 'multi')
    const [ofPlatform, ofOther] = [artifactOf(`${name} one`, image), artifactOf(`${name} two`, other)]
    for (const one of [ofPlatform, ofOther]) upstream.add(name, [], one)
    await mirror(name)
    expect(await mirror(name)).toMatchObject({ result: { created: false } })
    expect([await referrersOf(name, image), await referrersOf(name, other)]).toEqual([
      [ofPlatform.manifest.digest],
      [ofOther.manifest.digest],
    ])
    await stack.api('PATCH', `/remotes/${encodeURIComponent(name)}`, { excludeTags: ['app', 'other'] })
    await mirror(name)
    expect([await has(name, ofPlatform.manifest.digest), await has(name, ofOther.manifest.digest)]).toEqual([
      true,
      false,
    ])
  })
})

describe('atomic signatures, from another Berth', () => {
  test('come in the version of their image, and a new one with the next sync after a day', async () => {
    const source = 'companions/signed'
    const target = { url: stack.url, authorization: basic(stack) }
    const { digest } = await pushRandomImage(target, source, 'latest')
    const sign = async () => {
      const signature = {
        schemaVersion: 2,
        name: `${digest}@${randomBytes(16).toString('hex')}`,
        type: 'atomic',
        content: randomBytes(600).toString('base64'),
      }
      const url = `${stack.url}/extensions/v2/${source}/signatures/${digest}`
      const answer = await fetch(url, {
        method: 'PUT',
        headers: { authorization: basic(stack) },
        body: JSON.stringify(signature),
      })
      expect(answer.status).toBe(201)
      return signature
    }
    const login = { username: stack.user, password: stack.password }
    await make(stack, '/remotes', localRemote('signed', stack.url, source, login))
    const name = 'companions/copied'
    await make(stack, '/repositories', { name })
    await make(stack, '/distributions', { name, basePath: name, repository: name, access: 'public' })
    const copied = async () => (await fetch(`${stack.url}/extensions/v2/${name}/signatures/${digest}`)).json()
    const first = await sign()
    expect((await sync(stack, name, 'signed')).result).toMatchObject({ version: 1 })
    expect(await copied()).toEqual({ signatures: [first] })
    expect((await sync(stack, name, 'signed')).result).toMatchObject({ version: 1, created: false })
    await sign()
    expect((await sync(stack, name, 'signed')).result).toMatchObject({ version: 1, created: false })
    await passDay()
    expect((await sync(stack, name, 'signed')).result).toMatchObject({ version: 2, created: true })
    expect(((await copied()) as { signatures: [] }).signatures).toHaveLength(2)
  })
})
