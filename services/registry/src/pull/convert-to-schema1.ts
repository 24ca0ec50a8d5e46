import { createHash, type KeyObject } from 'node:crypto'
import type { BlobStore } from '@berth/blobs'
import { asDigest, type Digest, isIndexType, mediaTypes, OciError, parseManifest } from '@berth/oci'
import { LRUCache } from 'lru-cache'
import type { Lookup, ServedManifest } from '../model/lookup.ts'
import type { Pointer } from '../model/pointer.ts'
import { NotConvertible, partsOf, schema1Payload } from '../schema1/payload.ts'
import { signSchema1 } from '../schema1/sign.ts'
import type { SingleFinder } from './find-single.ts'
import type { ManifestBytes } from './manifest-bytes.ts'

/** A manifest that was made for the client. Its digest is of what is signed, and nothing is stored under it. */
export type MadeManifest = { digest: Digest; mediaType: string; sizeBytes: number; bytes: Buffer }

/** Gives an image as schema 1 to a client that knows nothing newer. Throws MANIFEST_UNKNOWN with what to do instead. */
export type Schema1Converter = (pointer: Pointer, tag: string, stored: ServedManifest) => Promise<MadeManifest>

const cacheBytes = 16 << 20
const configLimitBytes = 4 << 20

type Deps = { blobs: BlobStore; lookup: Lookup; readBytes: ManifestBytes; findSingle: SingleFinder }

export function createSchema1Converter(deps: Deps, signingKey: () => Promise<KeyObject>): Schema1Converter {
  const made = new LRUCache<string, MadeManifest>({
    maxSize: cacheBytes,
    sizeCalculation: ({ sizeBytes }) => sizeBytes,
  })
  return async (pointer, tag, stored) => {
    const name = `${pointer.basePath}:${tag}`
    if (!pointer.convertToSchema1)
      throw new OciError(
        'MANIFEST_UNKNOWN',
        `${name} is no schema 1 manifest, and the request accepts nothing newer; use a newer client, or ask an administrator ` +
          `to set convertToSchema1 on the distribution`,
      )
    const image = isIndexType(stored.mediaType) ? await deps.findSingle(pointer, stored) : stored
    const key = `${image.digest} ${name}`
    const known = made.get(key)
    if (known) return known
    const manifest = await convert(deps, pointer, { tag, image }, signingKey)
    made.set(key, manifest)
    return manifest
  }
}

async function convert(
  deps: Deps,
  pointer: Pointer,
  { tag, image }: { tag: string; image: ServedManifest },
  signingKey: () => Promise<KeyObject>,
): Promise<MadeManifest> {
  try {
    const { references } = parseManifest(await deps.readBytes(image))
    const { config: digestOfConfig, layers } = partsOf(references)
    const config = await readConfig(deps, pointer, digestOfConfig)
    const payload = schema1Payload({ name: pointer.basePath, tag, layers, config })
    const bytes = Buffer.from(signSchema1(payload, await signingKey()))
    const digest = asDigest(`sha256:${createHash('sha256').update(payload).digest('hex')}`)
    return { digest, mediaType: mediaTypes.dockerSchema1Signed, sizeBytes: bytes.length, bytes }
  } catch (cause) {
    if (!(cause instanceof NotConvertible)) throw cause
    throw new OciError(
      'MANIFEST_UNKNOWN',
      `${pointer.basePath}:${tag} cannot be given as schema 1, and the request accepts nothing newer: ${cause.message}; use a newer client`,
      { cause },
    )
  }
}

async function readConfig({ lookup, blobs }: Deps, pointer: Pointer, digest: Digest): Promise<Record<string, unknown>> {
  const blob = await lookup.blob(pointer, digest)
  if (!blob || blob.sizeBytes > configLimitBytes) throw new NotConvertible('it has no configuration of a usual size')
  const open = await blobs.open(blob, { sizeBytes: blob.sizeBytes })
  if (!open)
    throw new OciError('UNAVAILABLE', `the bytes of ${digest} are missing from the store`, {
      headers: { 'retry-after': '60' },
    })
  try {
    const value: unknown = JSON.parse(Buffer.concat(await open.stream().toArray()).toString())
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
    throw new NotConvertible('its configuration is not JSON', { cause })
  } finally {
    await open.close()
  }
  throw new NotConvertible('its configuration is not a JSON object')
}
