import {
  imageOf,
  type Manifest,
  manifestOf,
  startMisbehavingUpstream,
  status,
} from '@berth/registry-client/misbehaving-upstream'
import { describe, expect, test } from '@jest/globals'
import { pushBlob, pushManifest, pushRandomImage, type Target } from '../berth/push.ts'
import { basic, localRemote, make, manifestTypes, sha256 } from '../berth/requests.ts'
import { startTestStack } from '../berth/stack.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'
import { startDistribution } from '../servers/upstream.ts'

let count = 0
const stack = withBerth()
const upstream = withUpstream()

const ociManifest = 'application/vnd.oci.image.manifest.v1+json'
const ociIndex = 'application/vnd.oci.image.index.v1+json'
const sbomType = 'application/vnd.example.sbom'
const withDistribution = process.env.BERTH_TEST_DISTRIBUTION ? test : test.skip

/** A pull-through distribution of a registry. */
async function hub(url: string, pullThrough: object = {}, remote: object = {}): Promise<string> {
  const base = `hub${++count}`
  await make(stack, '/remotes', { ...localRemote(base, url, '', { retries: 0, ...remote }), upstreamName: null })
  await make(stack, '/distributions', {
    name: base,
    basePath: base,
    access: 'public',
    pullThrough: { remote: base, trigger: 'anonymous', ...pullThrough },
  })
  return base
}

async function referrers(name: string, digest: string, headers: Record<string, string> = {}) {
  const answer = await fetch(`${stack.url}/v2/${name}/referrers/${digest}`, { headers })
  const body = (await answer.json()) as { manifests?: { digest: string; artifactType?: string }[] }
  return { status: answer.status, digests: body.manifests?.map((one) => one.digest), body, headers: answer.headers }
}
async function pull(name: string, reference: string) {
  const answer = await fetch(`${stack.url}/v2/${name}/manifests/${reference}`, { headers: { accept: manifestTypes } })
  return { status: answer.status, text: await answer.text() }
}

/** Pushes an image and an SBOM that refers to it, as oras does where there is an API, and where there is none. */
async function pushSigned(target: Target, repository: string, hasApi: boolean) {
  const image = await pushRandomImage(target, repository, 'v1')
  const config = await pushBlob(target, repository, Buffer.from('{}'))
  const layer = await pushBlob(target, repository, Buffer.from(`an SBOM of ${image.digest}`))
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType: ociManifest,
    artifactType: sbomType,
    config: { mediaType: 'application/vnd.oci.empty.v1+json', ...config },
    layers: [{ mediaType: 'text/plain', ...layer }],
    subject: { mediaType: ociManifest, digest: image.digest, size: image.text.length },
  })
  const digest = sha256(text)
  await pushManifest(target, repository, digest, text, ociManifest)
  if (!hasApi) {
    const entry = { mediaType: ociManifest, digest, size: text.length, artifactType: sbomType }
    const index = JSON.stringify({ schemaVersion: 2, mediaType: ociIndex, manifests: [entry] })
    await pushManifest(target, repository, image.digest.replace(':', '-'), index, ociIndex)
  }
  return { image, sbom: { digest, text, layer: layer.digest } }
}

/** What refers to a manifest upstream is listed, and can be pulled with its bytes. */
async function expectFound(name: string, { image, sbom }: Awaited<ReturnType<typeof pushSigned>>): Promise<void> {
  expect(await pull(name, 'v1')).toEqual({ status: 200, text: image.text })
  const found = await referrers(name, image.digest)
  expect([found.status, found.body.manifests]).toEqual([
    200,
    [expect.objectContaining({ digest: sbom.digest, artifactType: sbomType })],
  ])
  expect((await referrers(name, `${image.digest}?artifactType=other/type`)).digests).toEqual([])
  expect(await pull(name, sbom.digest)).toEqual({ status: 200, text: sbom.text })
  const layer = await fetch(`${stack.url}/v2/${name}/blobs/${sbom.layer}`)
  expect(sha256(await layer.text())).toBe(sbom.layer)
}

/** An artifact that refers to a manifest. */
function artifactOf(name: string, { digest, mediaType, bytes }: Manifest, layer = 1_000) {
  const image = imageOf(name, layer)
  const body = JSON.parse(image.manifest.bytes.toString('utf8')) as { mediaType: string }
  const subject = { mediaType, digest, size: bytes.length }
  return { ...image, manifest: manifestOf({ ...body, artifactType: sbomType, subject } as { mediaType: string }) }
}

describe('what refers to an image is found through a pull-through distribution', () => {
  test('of another Berth, by its API', async () => {
    const far = await startTestStack()
    try {
      const signed = await pushSigned({ url: far.url, authorization: basic(far) }, 'team/signed', true)
      const base = await hub(far.url, {}, { username: far.user, password: far.password })
      await expectFound(`${base}/team/signed`, signed)
    } finally {
      await far.stop()
    }
  }, 120_000)

  withDistribution(
    'of distribution 3, which has no such API, by the tag that stands for it',
    async () => {
      const far = await startDistribution()
      try {
        const signed = await pushSigned({ url: far.url }, 'team/signed', false)
        const base = await hub(far.url)
        await expectFound(`${base}/team/signed`, signed)
        // Nor is anything found where nothing refers.
        expect(await referrers(`${base}/team/signed`, signed.sbom.digest)).toMatchObject({ status: 200, digests: [] })
      } finally {
        await far.stop()
      }
    },
    60_000,
  )

  test('asking upstream once within the time of the distribution, and again after it', async () => {
    const [kept, asked] = [await hub(upstream.url), await hub(upstream.url, { ttlSeconds: 0 })]
    const image = imageOf('with an SBOM', 1_000)
    upstream.add('team/timed', 'v1', image)
    const first = artifactOf('first SBOM', image.manifest)
    upstream.add('team/timed', [], first)
    const { digest } = image.manifest
    const find = (base: string) => referrers(`${base}/team/timed`, digest)
    for (const base of [kept, asked]) expect((await find(base)).digests).toEqual([first.manifest.digest])
    const second = artifactOf('second SBOM', image.manifest)
    upstream.add('team/timed', [], second)
    const before = upstream.seen.length
    expect((await find(kept)).digests).toEqual([first.manifest.digest])
    expect(upstream.seen.length).toBe(before)
    const both = await find(asked)
    expect(both.digests).toEqual([first, second].map((one) => one.manifest.digest).sort())
    // What did not change is not sent again.
    const etag = both.headers.get('etag') ?? ''
    const same = await fetch(`${stack.url}/v2/${asked}/team/timed/referrers/${digest}`, {
      headers: { 'if-none-match': etag },
    })
    expect(same.status).toBe(304)
  }, 60_000)

  test('and stays, with a Warning, while upstream is down; what was never seen is an error, and no empty list', async () => {
    const troubled = await startMisbehavingUpstream()
    try {
      const base = await hub(troubled.url, { ttlSeconds: 0 })
      const [image, plain, unseen] = [imageOf('seen', 1_000), imageOf('plain', 1_000), imageOf('unseen', 1_000)]
      const sbom = artifactOf('its SBOM', image.manifest)
      for (const [tag, one] of Object.entries({ image, plain, unseen })) troubled.add('team/app', tag, one)
      troubled.add('team/app', [], sbom)
      const find = (of: typeof image) => referrers(`${base}/team/app`, of.manifest.digest)
      await pull(`${base}/team/app`, 'unseen')
      expect([(await find(image)).digests, (await find(plain)).digests]).toEqual([[sbom.manifest.digest], []])
      troubled.when(/./, status(500))
      for (const [of, digests] of [
        [image, [sbom.manifest.digest]],
        [plain, []],
      ] as const) {
        const stale = await find(of)
        expect([stale.status, stale.digests, stale.headers.get('warning')]).toEqual([
          200,
          digests,
          expect.stringMatching(/^111 /),
        ])
      }
      const unknown = await find(unseen)
      expect([unknown.status, unknown.headers.get('retry-after')]).toEqual([503, expect.stringMatching(/^\d+$/)])
    } finally {
      await troubled.close()
    }
  }, 60_000)

  test('by those who may have something fetched; everybody else sees what is here', async () => {
    const base = await hub(upstream.url, { trigger: 'users', ttlSeconds: 0 })
    const image = imageOf('guarded', 1_000)
    const sbom = artifactOf('guarded SBOM', image.manifest)
    upstream.add('team/guarded', 'v1', image)
    upstream.add('team/guarded', [], sbom)
    const find = (headers = {}) => referrers(`${base}/team/guarded`, image.manifest.digest, headers)
    const before = upstream.seen.length
    expect(await find()).toMatchObject({ status: 200, digests: [] })
    expect(upstream.seen.length).toBe(before)
    expect((await find({ authorization: basic(stack) })).digests).toEqual([sbom.manifest.digest])
    expect((await find()).digests).toEqual([sbom.manifest.digest])
  }, 60_000)

  test('and nothing else: a list that names what does not refer there brings none of it', async () => {
    const base = await hub(upstream.url)
    const [image, stranger] = [imageOf('subject', 1_000), imageOf('stranger', 1_000)]
    const sbom = artifactOf('true SBOM', image.manifest)
    upstream.add('team/list', 'v1', image)
    upstream.add('team/list', [], sbom)
    upstream.add('team/list', [], stranger)
    const manifests = [stranger, sbom].map(({ manifest: { mediaType, digest, bytes } }) => ({
      mediaType,
      digest,
      size: bytes.length,
    }))
    const missing = { mediaType: ociManifest, digest: sha256('not there'), size: 10 }
    const body = JSON.stringify({ schemaVersion: 2, mediaType: ociIndex, manifests: [...manifests, missing] })
    upstream.when(/GET .*\/team\/list\/referrers\//, status(200, { 'content-type': ociIndex }, body))
    expect((await referrers(`${base}/team/list`, image.manifest.digest)).digests).toEqual([sbom.manifest.digest])
    const { body: content } = await stack.api(
      'GET',
      `/repositories/${encodeURIComponent(`${base}/team/list`)}/versions/1/content?type=manifest`,
    )
    expect(content.items.map((item: { digest: string }) => item.digest)).toEqual([sbom.manifest.digest])
    upstream.mend()
  }, 60_000)
})
