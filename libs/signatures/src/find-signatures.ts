import { type Digest, isTag, parseDigest } from '@berth/oci'
import { type CosignSignature, readBundle } from './cosign.ts'

/** Where a manifest is whose signatures are looked for: another registry, or what is about to come in. */
export type SignatureSource = {
  /** The bytes of the manifest that a tag stands for; `undefined` when there is none. */
  tagged(tag: string): Promise<Buffer | undefined>
  /** What refers to a manifest. */
  referrers(digest: Digest): Promise<Referring[]>
  /** The bytes of a manifest. */
  manifest(digest: Digest): Promise<Buffer>
  /** The bytes of a small blob. */
  blob(digest: Digest, sizeBytes: number): AsyncIterable<Uint8Array>
  /** GPG signatures of a manifest, as podman and skopeo make them. */
  messages(digest: Digest): AsyncIterable<Buffer>
}
export type Referring = { digest: Digest; artifactType?: unknown }

const mostSignatures = 50
const limitBytes = 1 << 20
const signatureAnnotation = 'dev.cosignproject.cosign/signature'
const payloadType = 'application/vnd.dev.cosign.simplesigning.v1+json'
const bundleType = /^application\/vnd\.dev\.sigstore\.bundle/

type Descriptor = { mediaType?: unknown; digest?: unknown; size?: unknown; annotations?: Record<string, unknown> }

/** What cosign left beside a manifest: under its companion tag, and among its referrers. */
export async function* cosignSignatures(source: SignatureSource, digest: Digest): AsyncIterable<CosignSignature> {
  const tag = `${digest.replace(':', '-')}.sig`
  const tagged = isTag(tag) ? await source.tagged(tag) : undefined
  if (tagged) yield* simpleOf(source, tagged)
  const referrers = await source.referrers(digest)
  for (const referrer of referrers
    .filter(({ artifactType }) => bundleType.test(String(artifactType)))
    .slice(0, mostSignatures))
    yield* bundlesOf(source, await source.manifest(referrer.digest))
}

async function* simpleOf(source: SignatureSource, manifest: Buffer): AsyncIterable<CosignSignature> {
  for (const layer of layersOf(manifest)) {
    const signature = layer.annotations?.[signatureAnnotation]
    if (layer.mediaType !== payloadType || typeof signature !== 'string') continue
    const payload = await readLayer(source, layer)
    if (payload) yield { kind: 'simple', payload, signature: Buffer.from(signature, 'base64') }
  }
}

async function* bundlesOf(source: SignatureSource, manifest: Buffer): AsyncIterable<CosignSignature> {
  for (const layer of layersOf(manifest)) {
    if (!bundleType.test(String(layer.mediaType))) continue
    const bytes = await readLayer(source, layer)
    const bundle = bytes && readBundle(bytes)
    if (bundle) yield bundle
  }
}

function layersOf(manifest: Buffer): Descriptor[] {
  const { layers } = parseBody(manifest)
  return Array.isArray(layers) ? layers.slice(0, mostSignatures).filter(isDescriptor) : []
}

function parseBody(bytes: Buffer): { layers?: unknown } {
  try {
    return (JSON.parse(bytes.toString('utf8')) ?? {}) as { layers?: unknown }
  } catch {
    // What cannot be read is no signature; that there is none is what the caller says.
    return {}
  }
}

function isDescriptor(layer: unknown): layer is Descriptor {
  return typeof layer === 'object' && layer !== null
}

async function readLayer(source: SignatureSource, { digest: text, size }: Descriptor): Promise<Buffer | undefined> {
  const digest = parseDigest(String(text))
  if (!digest || typeof size !== 'number' || size > limitBytes) return undefined
  const chunks: Uint8Array[] = []
  for await (const chunk of source.blob(digest, size)) chunks.push(chunk)
  // What it is signed as is checked by the signature, so its digest adds nothing.
  return Buffer.concat(chunks)
}
