import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { type Digest, mediaTypes } from '@berth/oci'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { createMessage, generateKey, readPrivateKey, sign as signMessage } from 'openpgp'
import { digestOf, type Packed, packImages } from '../archives/archive.fixture.ts'
import { contentOf } from '../testing/catalog.fixture.ts'
import { apply, type Harbour, makeImport, plan, startHarbour } from './imports.fixture.ts'

let harbour: Harbour
beforeAll(async () => {
  harbour = await startHarbour()
}, 60_000)
afterAll(() => harbour?.stop())

const newKey = () => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(), privateKey }
}
const key = newKey()
const empty = Buffer.from('{}')

/** Puts a manifest beside what a repository has, with its blobs. */
function withManifest(
  packed: Packed,
  body: object,
  blobs: readonly Buffer[],
  tag?: string,
): { packed: Packed; digest: Digest } {
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, ...body }))
  const digest = digestOf(bytes)
  return {
    digest,
    packed: {
      ...packed,
      manifests: new Map([...packed.manifests, [digest, bytes]]),
      blobs: new Map([...packed.blobs, ...blobs.map((blob): [Digest, Buffer] => [digestOf(blob), blob])]),
      tags: { ...packed.tags, ...(tag ? { [tag]: digest } : {}) },
    },
  }
}

const described = (mediaType: string, bytes: Buffer) => ({ mediaType, digest: digestOf(bytes), size: bytes.length })
const emptyConfig = described('application/vnd.oci.empty.v1+json', empty)

/** Signs as cosign does: a companion tag whose layer says what is signed. */
function cosign(packed: Packed, about: Digest, by: KeyObject): Packed {
  const critical = { image: { 'docker-manifest-digest': about }, type: 'cosign container image signature' }
  const payload = Buffer.from(JSON.stringify({ critical }))
  const layer = {
    ...described('application/vnd.dev.cosign.simplesigning.v1+json', payload),
    annotations: { 'dev.cosignproject.cosign/signature': sign('sha256', payload, by).toString('base64') },
  }
  const body = { mediaType: mediaTypes.ociManifest, config: emptyConfig, layers: [layer] }
  return withManifest(packed, body, [payload, empty], `${about.replace(':', '-')}.sig`).packed
}

/** Signs as newer cosign does: a bundle that refers to the image. */
function bundle(packed: Packed, about: Digest, by: KeyObject): Packed {
  const payloadType = 'application/vnd.in-toto+json'
  const statement = {
    subject: [{ digest: { sha256: about.slice('sha256:'.length) } }],
    predicateType: 'https://sigstore.dev/cosign/sign/v1',
  }
  const payload = Buffer.from(JSON.stringify(statement))
  const encoded = Buffer.concat([
    Buffer.from(`DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `),
    payload,
  ])
  const type = 'application/vnd.dev.sigstore.bundle.v0.3+json'
  const signatures = [{ sig: sign('sha256', encoded, by).toString('base64') }]
  const bytes = Buffer.from(
    JSON.stringify({ dsseEnvelope: { payload: payload.toString('base64'), payloadType, signatures } }),
  )
  const subject = { mediaType: mediaTypes.ociManifest, digest: about, size: packed.manifests.get(about)?.length }
  const body = {
    mediaType: mediaTypes.ociManifest,
    artifactType: type,
    config: emptyConfig,
    layers: [described(type, bytes)],
    subject,
  }
  return withManifest(packed, body, [bytes, empty]).packed
}

let count = 0
/** A repository that takes only what is signed, and an image for it. */
async function prepare(
  type: 'cosign' | 'gpg' = 'cosign',
  publicKey = key.publicKey,
): Promise<{ name: string; image: Packed; digest: Digest }> {
  const name = `strict/app${++count}`
  await apply(harbour, await makeImport(harbour, [packImages(name, { first: [100] })]))
  await requires(name, [{ type, name: 'production', publicKey }])
  const image = { ...packImages(name, { v1: [200 + count] }), version: 4 }
  return { name, image, digest: image.tags.v1 ?? ('' as Digest) }
}
const requires = (name: string, keys: object[]) =>
  harbour.db.query('update repository set signatures = $2 where name = $1', [
    name,
    JSON.stringify({ require: true, keys }),
  ])

async function expectRefused(packed: Packed, code: string, message: string): Promise<void> {
  const job = await makeImport(harbour, [packed])
  expect((await plan(harbour, job)).repositories[0]).toMatchObject({ requiresSignatures: true, conflict: null })
  const outcome = await apply(harbour, job)
  expect(outcome).toMatchObject({ state: 'failed', error: { code, message: expect.stringContaining(message) } })
  expect(Object.keys((await contentOf(harbour.db, packed.name)).tags)).toEqual(['first'])
}
async function expectTaken(packed: Packed): Promise<void> {
  expect(await apply(harbour, await makeImport(harbour, [packed]))).toMatchObject({ state: 'completed' })
  const { tags, manifests } = await contentOf(harbour.db, packed.name)
  expect({ tags, manifests }).toEqual({ tags: packed.tags, manifests: [...packed.manifests.keys()].sort() })
}

test('what is not signed does not come into a repository that requires it, nor what another key has signed, or for another image', async () => {
  const { image, digest } = await prepare()
  await expectRefused(
    image,
    'signature_missing',
    `Tag "v1": ${digest} has no signature, and the repository requires one of "production" (cosign)`,
  )
  await expectRefused(cosign(image, digest, newKey().privateKey), 'signature_untrusted', 'Tag "v1"')
  const other = packImages(image.name, { v1: [999] })
  const elsewhere = cosign({ ...other, version: 4 }, other.tags.v1 ?? digest, key.privateKey)
  const [tag = '', signature = digest] = Object.entries(elsewhere.tags).find(([name]) => name.endsWith('.sig')) ?? []
  expect(tag).not.toBe('')
  const moved = {
    ...image,
    manifests: new Map([...image.manifests, ...elsewhere.manifests]),
    blobs: new Map([...image.blobs, ...elsewhere.blobs]),
  }
  await expectRefused(
    { ...moved, tags: { v1: digest, [`${digest.replace(':', '-')}.sig`]: signature } },
    'signature_untrusted',
    'Tag "v1"',
  )
})

test('signatures that the archive carries count, as a companion tag, a bundle or a signature of podman, and come with it', async () => {
  const tagged = await prepare()
  await expectTaken(cosign(tagged.image, tagged.digest, key.privateKey))
  const bundled = await prepare()
  await expectTaken(bundle(bundled.image, bundled.digest, key.privateKey))
  const pair = await generateKey({ userIDs: [{ name: 'Release', email: 'release@example.org' }] })
  const gpg = await prepare('gpg', pair.publicKey)
  const claims = { critical: { type: 'atomic container signature', image: { 'docker-manifest-digest': gpg.digest } } }
  const message = await signMessage({
    message: await createMessage({ binary: Buffer.from(JSON.stringify(claims)) }),
    signingKeys: await readPrivateKey({ armoredKey: pair.privateKey }),
    format: 'binary',
  })
  const content = Buffer.from(message as Uint8Array).toString('base64')
  await expectRefused(gpg.image, 'signature_missing', '(gpg)')
  await expectTaken({
    ...gpg.image,
    signatures: [{ signature: `${gpg.digest}@${'a'.repeat(32)}`, digest: gpg.digest, content }],
  })
})

test('an index vouches for its images, but not for a tag of one, and what nothing vouches for is refused without a tag too', async () => {
  const { image, digest, name } = await prepare()
  const child = { mediaType: mediaTypes.ociManifest, digest, size: image.manifests.get(digest)?.length }
  const indexed = withManifest(
    { ...image, tags: {} },
    { mediaType: mediaTypes.ociIndex, manifests: [child] },
    [],
    'all',
  )
  const signed = cosign(indexed.packed, indexed.digest, key.privateKey)
  await expectRefused({ ...signed, tags: { ...signed.tags, v1: digest } }, 'signature_missing', `Tag "v1": ${digest}`)
  const stray = packImages(name, { x: [998] })
  const [strayDigest = ''] = stray.manifests.keys()
  const more = {
    ...signed,
    manifests: new Map([...signed.manifests, ...stray.manifests]),
    blobs: new Map([...signed.blobs, ...stray.blobs]),
  }
  await expectRefused(more, 'signature_missing', `${strayDigest} has no signature`)
  await expectTaken(signed)
  // What did not move is not asked for again, as by a sync.
  await requires(name, [{ type: 'cosign', name: 'newer', publicKey: newKey().publicKey }])
  await expectTaken({ ...signed, version: 5, tags: { ...signed.tags } })
})

test('what comes unsigned because it belongs to something else may be neither an image nor an index', async () => {
  const { image, digest } = await prepare()
  const signed = cosign(image, digest, key.privateKey)
  const layer = Buffer.from('a program')
  const tag = `${digest.replace(':', '-')}.sbom`
  const program = {
    mediaType: mediaTypes.ociManifest,
    config: emptyConfig,
    layers: [described('application/vnd.oci.image.layer.v1.tar', layer)],
  }
  await expectRefused(withManifest(signed, program, [layer], tag).packed, 'signature_missing', `Tag "${tag}"`)
  const subject = { mediaType: mediaTypes.ociManifest, digest, size: image.manifests.get(digest)?.length }
  await expectRefused(
    withManifest(signed, { ...program, subject }, [layer]).packed,
    'signature_missing',
    'has no signature',
  )
  const list = { mediaType: mediaTypes.ociIndex, manifests: [], subject }
  await expectRefused(withManifest(signed, list, []).packed, 'signature_missing', 'has no signature')
  const note = { mediaType: mediaTypes.ociManifest, config: emptyConfig, layers: [described('text/plain', layer)] }
  await expectRefused(withManifest(signed, note, [layer], 'note').packed, 'signature_missing', 'Tag "note"')
  await expectTaken(withManifest(withManifest(signed, { ...note, subject }, [layer]).packed, note, [layer], tag).packed)
})

test('signatures that are required otherwise meanwhile were not looked for', async () => {
  const { name, image, digest } = await prepare()
  const job = await makeImport(harbour, [cosign(image, digest, key.privateKey)])
  const meanwhile = async () => {
    await requires(name, [{ type: 'cosign', name: 'newer', publicKey: newKey().publicKey }])
    return undefined
  }
  expect(await apply(harbour, job, { meanwhile })).toMatchObject({
    state: 'failed',
    error: { code: 'signatures_required' },
  })
  expect(await apply(harbour, job)).toMatchObject({ state: 'failed', error: { code: 'signature_untrusted' } })
  await requires(name, [{ type: 'cosign', name: 'production', publicKey: key.publicKey }])
  expect(await apply(harbour, job)).toMatchObject({ state: 'completed', result: { blobs: { stored: 0, verified: 0 } } })
})
