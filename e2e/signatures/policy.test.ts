import { type KeyObject, sign } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { blobOf, type Image, imageOf, manifestOf, status } from '@berth/registry-client/misbehaving-upstream'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { createMessage, generateKey, readPrivateKey, sign as signMessage } from 'openpgp'
import type { TaskView } from '../berth/berth.ts'
import { getManifest, localRemote, make, repositoryPath } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'
import { cosign, describeBlob, emptyConfig, newKey, oci } from './signing.ts'

const stack = withBerth()
const upstream = withUpstream()
let lookaside: Server
const kept = new Map<string, Uint8Array>()
let count = 0
beforeAll(async () => {
  lookaside = createServer((request, response) => {
    const bytes = kept.get(request.url ?? '')
    response.writeHead(bytes ? 200 : 404).end(bytes)
  })
  await new Promise<void>((resolve) => void lookaside.listen(0, '127.0.0.1', resolve))
}, 90_000)
afterAll(async () => {
  lookaside?.close()
}, 60_000)

/** Signs as newer cosign does: a bundle that refers to the image. */
function bundle(repository: string, image: Image, key: KeyObject, predicateType: string): Image {
  const [, hex] = image.manifest.digest.split(':')
  const payloadType = 'application/vnd.in-toto+json'
  const payload = Buffer.from(
    JSON.stringify({ _type: 'https://in-toto.io/Statement/v1', subject: [{ digest: { sha256: hex } }], predicateType }),
  )
  const encoded = Buffer.concat([
    Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `),
    payload,
  ])
  const signatures = [{ sig: sign('sha256', encoded, key).toString('base64') }]
  const mediaType = 'application/vnd.dev.sigstore.bundle.v0.3+json'
  const dsseEnvelope = { payload: payload.toString('base64'), payloadType, signatures }
  const layer = blobOf(Buffer.from(JSON.stringify({ mediaType, dsseEnvelope })))
  const manifest = manifestOf({
    schemaVersion: 2,
    mediaType: oci,
    artifactType: mediaType,
    config: describeBlob('application/vnd.oci.empty.v1+json', emptyConfig),
    layers: [describeBlob(mediaType, layer)],
    subject: describeBlob(oci, image.manifest),
  } as { mediaType: string })
  const made = { manifest, config: emptyConfig, layers: [layer] }
  upstream.add(repository, [], made)
  return made
}

type Mirror = { name: string; image: Image; sync: (more?: object) => Promise<TaskView> }

/** An image upstream, and a remote that requires signatures by these keys. */
async function mirror(keys: object[], more: object = {}): Promise<Mirror> {
  const name = `signed/${++count}`
  const image = imageOf(name, 5_000)
  upstream.add(name, 'v1', image)
  const signatures = { require: true, keys, ...more }
  await make(stack, '/remotes', localRemote(name, upstream.url, name, { retries: 0, signatures }))
  await make(stack, '/repositories', { name })
  await make(stack, '/distributions', { name, basePath: name, repository: name, access: 'public' })
  const sync = async (wanted: object = {}) => {
    const { body } = await stack.api('POST', '/syncs', { repository: name, remote: name, ...wanted })
    return stack.waitForTask(body.id)
  }
  return { name, image, sync }
}
const versionOf = async (name: string) => (await stack.api('GET', repositoryPath(name))).body.latestVersion

describe('a remote that requires signatures', () => {
  test.each(['P-256', 'P-384'])(
    'takes what cosign signed with a key of it (%s), with the signature',
    async (curve) => {
      const key = newKey(curve)
      const { name, image, sync } = await mirror([{ type: 'cosign', name: 'release', publicKey: key.publicKey }])
      cosign(upstream, { repository: name, image, key: key.privateKey })
      expect(await sync()).toMatchObject({ state: 'completed' })
      expect((await getManifest(`${stack.url}/v2/${name}/manifests/v1`)).digest).toBe(image.manifest.digest)
      const tag = `${image.manifest.digest.replace(':', '-')}.sig`
      expect((await getManifest(`${stack.url}/v2/${name}/manifests/${tag}`)).status).toBe(200)
    },
    60_000,
  )

  test.each<[string, (mirrored: Mirror, key: KeyObject) => void, string, string]>([
    ['has none', () => {}, 'signature_missing', 'Tag "v1": sha256:'],
    [
      'is signed by another key',
      ({ name, image }) => cosign(upstream, { repository: name, image, key: newKey().privateKey }),
      'signature_untrusted',
      '"release"',
    ],
    [
      'has the signature of another image',
      ({ name, image }, key) => cosign(upstream, { repository: name, image, key, about: `sha256:${'0'.repeat(64)}` }),
      'signature_untrusted',
      'something else',
    ],
    [
      'has a companion whose layers are none',
      ({ name, image }) => {
        const tag = `${image.manifest.digest.replace(':', '-')}.sig`
        upstream.addManifest(name, { ...blobOf(Buffer.from('{"layers": [null, 1, {}]}')), mediaType: oci }, tag)
      },
      'signature_missing',
      'has no signature',
    ],
    [
      'has only an attestation of the key',
      ({ name, image }, key) => bundle(name, image, key, 'https://spdx.dev/Document'),
      'signature_untrusted',
      'something else',
    ],
  ])(
    'refuses what %s, with the reason, and fetches nothing of it',
    async (_title, prepare, code, words) => {
      const key = newKey()
      const mirrored = await mirror([{ type: 'cosign', name: 'release', publicKey: key.publicKey }])
      prepare(mirrored, key.privateKey)
      const task = await mirrored.sync()
      expect(task).toMatchObject({ state: 'failed', error: { code, message: expect.stringContaining(words) } })
      expect(await versionOf(mirrored.name)).toBe(0)
      const [layer] = mirrored.image.layers
      expect(upstream.seen.some(({ path }) => path.endsWith(layer?.digest ?? '?'))).toBe(false)
    },
    60_000,
  )

  test('keeps the signed tags and names the others, when it is to skip what fails', async () => {
    const key = newKey()
    const { name, image, sync } = await mirror([{ type: 'cosign', name: 'release', publicKey: key.publicKey }])
    cosign(upstream, { repository: name, image, key: key.privateKey })
    upstream.add(name, 'unsigned', imageOf(`${name} unsigned`, 100))
    const task = await sync({ onError: 'skip' })
    expect(task).toMatchObject({
      state: 'completed',
      result: { failures: [{ tag: 'unsigned', code: 'signature_missing' }] },
    })
    expect((await getManifest(`${stack.url}/v2/${name}/manifests/v1`)).status).toBe(200)
    expect((await getManifest(`${stack.url}/v2/${name}/manifests/unsigned`)).status).toBe(404)
  }, 60_000)

  test('takes a sigstore bundle among the referrers', async () => {
    const key = newKey()
    const { name, image, sync } = await mirror([{ type: 'cosign', name: 'release', publicKey: key.publicKey }])
    bundle(name, image, key.privateKey, 'https://sigstore.dev/cosign/sign/v1')
    expect(await sync()).toMatchObject({ state: 'completed' })
  }, 60_000)

  test('takes no index that refers to what is signed, for it would vouch for what nobody signed', async () => {
    const key = newKey()
    const { name, image, sync } = await mirror([{ type: 'cosign', name: 'release', publicKey: key.publicKey }])
    cosign(upstream, { repository: name, image, key: key.privateKey })
    const loose = imageOf(`${name} loose`, 100)
    upstream.add(name, [], loose)
    const index = manifestOf({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [describeBlob(oci, loose.manifest)],
      subject: describeBlob(oci, image.manifest),
    } as { mediaType: string })
    upstream.addManifest(name, index)
    const listed = await fetch(`${upstream.url}/v2/${name}/referrers/${image.manifest.digest}`)
    expect(await listed.text()).toContain(index.digest)
    expect(await sync()).toMatchObject({ state: 'completed' })
    const statuses = ['v1', index.digest, loose.manifest.digest].map(
      async (reference) => (await getManifest(`${stack.url}/v2/${name}/manifests/${reference}`)).status,
    )
    expect(await Promise.all(statuses)).toEqual([200, 404, 404])
  })

  test('takes no image and no index by the tag of a companion, nor an image that refers to what is signed', async () => {
    const key = newKey()
    const { name, image, sync } = await mirror([{ type: 'cosign', name: 'release', publicKey: key.publicKey }])
    cosign(upstream, { repository: name, image, key: key.privateKey })
    const tag = image.manifest.digest.replace(':', '-')
    const loose = imageOf(`${name} loose`, 100)
    upstream.add(name, `${tag}.att`, loose)
    const manifests = [describeBlob(oci, loose.manifest)]
    const index = manifestOf({ schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests } as {
      mediaType: string
    })
    upstream.addManifest(name, index, `${tag}.sbom`)
    const { config, layers } = JSON.parse(loose.manifest.bytes.toString()) as object & {
      config: object
      layers: object
    }
    const subject = describeBlob(oci, image.manifest)
    const referring = manifestOf({ schemaVersion: 2, mediaType: oci, config, layers, subject } as { mediaType: string })
    upstream.addManifest(name, referring)
    expect(await sync()).toMatchObject({ state: 'completed' })
    const statuses = ['v1', `${tag}.sig`, `${tag}.att`, `${tag}.sbom`, loose.manifest.digest, referring.digest].map(
      async (reference) => (await getManifest(`${stack.url}/v2/${name}/manifests/${reference}`)).status,
    )
    expect(await Promise.all(statuses)).toEqual([200, 200, 404, 404, 404, 404])
  }, 60_000)

  test('takes a sigstore bundle from the referrers tag, where there is no API for referrers', async () => {
    const key = newKey()
    const { name, image, sync } = await mirror([{ type: 'cosign', name: 'release', publicKey: key.publicKey }])
    const { manifest } = bundle(name, image, key.privateKey, 'https://sigstore.dev/cosign/sign/v1')
    const about = { mediaType: manifest.mediaType, digest: manifest.digest, size: manifest.bytes.length }
    const manifests = [{ ...about, artifactType: 'application/vnd.dev.sigstore.bundle.v0.3+json' }]
    const index = { schemaVersion: 2, mediaType: 'application/vnd.oci.image.index.v1+json', manifests }
    upstream.when(new RegExp(`${name}/referrers`), status(404))
    expect(await sync()).toMatchObject({ state: 'failed', error: { code: 'signature_missing' } })
    upstream.addManifest(name, manifestOf(index), image.manifest.digest.replace(':', '-'))
    expect(await sync()).toMatchObject({ state: 'completed' })
    // The index that lists it is not signed and stays away; what it lists comes.
    expect((await getManifest(`${stack.url}/v2/${name}/manifests/${manifest.digest}`)).status).toBe(200)
  }, 60_000)

  test('takes GPG signatures from a lookaside server, and only those of its key', async () => {
    const userIDs = [{ name: 'Release', email: 'release@example.org' }]
    const [good, bad] = [await generateKey({ userIDs }), await generateKey({ userIDs })]
    const { port } = lookaside.address() as AddressInfo
    const keys = [{ type: 'gpg', name: 'release', publicKey: good.publicKey }]
    const { name, image, sync } = await mirror(keys, { sigstore: `http://127.0.0.1:${port}/sig` })
    const payload = JSON.stringify({
      critical: {
        type: 'atomic container signature',
        image: { 'docker-manifest-digest': image.manifest.digest },
        identity: { 'docker-reference': name },
      },
      optional: {},
    })
    const message = await createMessage({ text: payload })
    const signedBy = async (armoredKey: string) =>
      (await signMessage({
        message,
        signingKeys: await readPrivateKey({ armoredKey }),
        format: 'binary',
      })) as Uint8Array
    const at = `/sig/${name}@${image.manifest.digest.replace(':', '=')}/signature-`
    kept.set(`${at}1`, await signedBy(bad.privateKey))
    expect(await sync()).toMatchObject({ state: 'failed', error: { code: 'signature_untrusted' } })
    const signed = await signedBy(good.privateKey)
    kept.set(`${at}2`, signed)
    expect(await sync()).toMatchObject({ state: 'completed' })
    // They are content like all else, and served to every client that asks as clients of registries do.
    const served = await fetch(`${stack.url}/extensions/v2/${name}/signatures/${image.manifest.digest}`)
    const { signatures } = (await served.json()) as { signatures: { content: string }[] }
    expect(signatures.map(({ content }) => content)).toContain(Buffer.from(signed).toString('base64'))
  }, 60_000)

  test('that is pulled through refuses what is not signed, and trusts what a signed index names', async () => {
    const key = newKey()
    const base = `hub-signed-${++count}`
    const signatures = { require: true, keys: [{ type: 'cosign', name: 'release', publicKey: key.publicKey }] }
    await make(stack, '/remotes', {
      ...localRemote(base, upstream.url, '', { retries: 0, signatures }),
      upstreamName: null,
    })
    const pullThrough = { remote: base, trigger: 'anonymous' }
    await make(stack, '/distributions', { name: base, basePath: base, access: 'public', pullThrough })
    const repository = `team/signed-${count}`
    const [member, loose] = [imageOf(`${base} member`, 100), imageOf(`${base} loose`, 100)]
    const index = manifestOf({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [describeBlob(oci, member.manifest)],
    } as { mediaType: string })
    upstream.add(repository, [], member)
    upstream.add(repository, 'loose', loose)
    upstream.addManifest(repository, index, 'list')
    cosign(upstream, { repository, image: { ...member, manifest: index }, key: key.privateKey })
    const get = (reference: string) => getManifest(`${stack.url}/v2/${base}/${repository}/manifests/${reference}`)
    const refused = await get('loose')
    expect([refused.status, refused.text]).toEqual([403, expect.stringContaining('has no signature')])
    expect((await get(member.manifest.digest)).status).toBe(403)
    expect((await get('list')).digest).toBe(index.digest)
    expect((await get(member.manifest.digest)).digest).toBe(member.manifest.digest)
    // Companions are let in unsigned; one that is an index must not carry a tag past the policy.
    const companion = manifestOf({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [describeBlob(oci, loose.manifest)],
    } as { mediaType: string })
    const tagOf = (digest: string, suffix = '') => digest.replace(':', '-') + suffix
    for (const tag of [`sha256-${'0'.repeat(64)}`, tagOf(index.digest), tagOf(index.digest, '.sbom')]) {
      upstream.addManifest(repository, companion, tag)
      expect((await get(tag)).status).toBe(403)
    }
    // Nor may one be the image itself, or belong to what was refused.
    upstream.add(repository, [tagOf(index.digest, '.att'), tagOf(loose.manifest.digest, '.sig')], loose)
    expect((await get(tagOf(index.digest, '.att'))).status).toBe(403)
    cosign(upstream, { repository, image: loose, key: newKey().privateKey })
    expect((await get(tagOf(loose.manifest.digest, '.sig'))).status).toBe(403)
    expect((await get(tagOf(index.digest, '.sig'))).status).toBe(200)
    expect((await get('loose')).status).toBe(403)
    expect((await get(loose.manifest.digest)).status).toBe(403)
  }, 60_000)
})
