import { type Digest, isTag, parseDigest } from '@berth/oci'
import { companionTagOf } from '../filters/companion-tags.ts'
import { type CosignSignature, readBundle } from './cosign.ts'
import { lookasideSignatures, type Signed } from './lookaside.ts'

const mostSignatures = 50
const limitBytes = 1 << 20
const signatureAnnotation = 'dev.cosignproject.cosign/signature'
const payloadType = 'application/vnd.dev.cosign.simplesigning.v1+json'
const bundleType = /^application\/vnd\.dev\.sigstore\.bundle/

type Descriptor = {
  mediaType?: unknown
  artifactType?: unknown
  digest?: unknown
  size?: unknown
  annotations?: Record<string, unknown>
}

/** What cosign left beside a manifest: under its companion tag, and among its referrers. */
export async function* cosignSignatures(
  upstream: Signed,
  digest: Digest,
  signal: AbortSignal,
): AsyncIterable<CosignSignature> {
  const { client, repository } = upstream
  const tag = `${digest.replace(':', '-')}.sig`
  if (isTag(tag) && (await client.resolve(repository, tag, signal))) yield* simpleOf(upstream, tag, signal)
  const referrers = (await client.referrers(repository, digest, signal)) ?? (await tagged(upstream, digest, signal))
  for (const referrer of referrers
    .filter(({ artifactType }) => bundleType.test(String(artifactType)))
    .slice(0, mostSignatures))
    yield* bundlesOf(upstream, String(referrer.digest), signal)
}

/** What refers to a manifest where there is no API for that (distribution-spec, "Referrers Tag Schema"). */
async function tagged({ client, repository }: Signed, digest: Digest, signal: AbortSignal): Promise<Descriptor[]> {
  const tag = companionTagOf(digest)
  if (!(await client.resolve(repository, tag, signal))) return []
  const { bytes } = await client.manifest(repository, tag, signal)
  const { manifests } = parseBody(bytes)
  return Array.isArray(manifests) ? manifests.filter(isDescriptor).filter((one) => parseDigest(String(one.digest))) : []
}

async function* simpleOf(upstream: Signed, tag: string, signal: AbortSignal): AsyncIterable<CosignSignature> {
  for (const layer of await layersOf(upstream, tag, signal)) {
    const signature = layer.annotations?.[signatureAnnotation]
    if (layer.mediaType !== payloadType || typeof signature !== 'string') continue
    const payload = await readLayer(upstream, layer, signal)
    if (payload) yield { kind: 'simple', payload, signature: Buffer.from(signature, 'base64') }
  }
}

async function* bundlesOf(upstream: Signed, reference: string, signal: AbortSignal): AsyncIterable<CosignSignature> {
  for (const layer of await layersOf(upstream, reference, signal)) {
    if (!bundleType.test(String(layer.mediaType))) continue
    const bytes = await readLayer(upstream, layer, signal)
    const bundle = bytes && readBundle(bytes)
    if (bundle) yield bundle
  }
}

async function layersOf({ client, repository }: Signed, reference: string, signal: AbortSignal): Promise<Descriptor[]> {
  const { bytes } = await client.manifest(repository, reference, signal)
  const { layers } = parseBody(bytes)
  return Array.isArray(layers) ? layers.slice(0, mostSignatures).filter(isDescriptor) : []
}

function parseBody(bytes: Buffer): { layers?: unknown; manifests?: unknown } {
  try {
    return (JSON.parse(bytes.toString('utf8')) ?? {}) as { layers?: unknown; manifests?: unknown }
  } catch {
    // What cannot be read is no signature; that there is none is what the caller says.
    return {}
  }
}

function isDescriptor(layer: unknown): layer is Descriptor {
  return typeof layer === 'object' && layer !== null
}

async function readLayer(
  { client, repository }: Signed,
  { digest: text, size }: Descriptor,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const digest = parseDigest(String(text))
  if (!digest || typeof size !== 'number' || size > limitBytes) return undefined
  const chunks: Uint8Array[] = []
  for await (const chunk of client.blob(repository, { digest, sizeBytes: size }, signal)) chunks.push(chunk)
  // What it is signed as is checked by the signature, so its digest adds nothing.
  return Buffer.concat(chunks)
}

/** GPG signatures of a manifest: from the registry itself, and from a lookaside server where one is named. */
export async function* gpgSignatures(upstream: Signed, digest: Digest, signal: AbortSignal): AsyncIterable<Buffer> {
  const { client, repository } = upstream
  for (const { content } of (await client.signatures(repository, digest, signal)) ?? [])
    yield Buffer.from(content, 'base64')
  yield* lookasideSignatures(upstream, digest, signal)
}
