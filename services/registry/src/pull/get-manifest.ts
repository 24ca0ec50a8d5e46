import type { BlobStore } from '@berth/blobs'
import { type Digest, OciError } from '@berth/oci'
import { LRUCache } from 'lru-cache'
import { type NamedExchange, sendBytes, sendEmpty } from '../gateway/exchange.ts'
import type { Lookup, ServedManifest } from '../model/lookup.ts'

const cacheBytes = 64 << 20

/** Reads the bytes of manifests; those read lately from memory, for what is under a digest cannot change. */
export type ManifestBytes = (manifest: ServedManifest) => Promise<Buffer>

export function createManifestBytes(blobs: BlobStore): ManifestBytes {
  const cache = new LRUCache<Digest, Buffer>({ maxSize: cacheBytes, sizeCalculation: (bytes) => bytes.length + 1 })
  return async ({ digest, generation, sizeBytes }) => {
    const known = cache.get(digest)
    if (known) return known
    const blob = await blobs.open({ digest, generation })
    // The model says that it is served, so the bytes must be there: this is damage, not absence.
    if (!blob)
      throw new OciError('UNAVAILABLE', `the bytes of ${digest} are missing from the store`, {
        headers: { 'retry-after': '60' },
      })
    try {
      const bytes = Buffer.concat(await blob.stream().toArray())
      if (bytes.length !== sizeBytes) throw new OciError('UNAVAILABLE', `the stored bytes of ${digest} are damaged`)
      cache.set(digest, bytes)
      return bytes
    } finally {
      await blob.close()
    }
  }
}

/** `GET` and `HEAD /v2/<name>/manifests/<reference>` (distribution-spec, "Pulling manifests"). */
export async function getManifest(
  exchange: NamedExchange,
  reference: { tag?: string | undefined; digest?: Digest | undefined },
  lookup: Lookup,
  readBytes: ManifestBytes,
): Promise<void> {
  const { pointer, request, basePath } = exchange
  if (!pointer) throw new OciError('NAME_UNKNOWN', `there is no repository ${basePath}, or you may not see it`)
  const manifest = reference.digest
    ? await lookup.manifest(pointer, reference.digest)
    : await lookup.tag(pointer, reference.tag ?? '')
  if (!manifest)
    throw new OciError('MANIFEST_UNKNOWN', `${basePath} has no manifest ${reference.digest ?? reference.tag}`)
  const etag = `"${manifest.digest}"`
  const headers = {
    'content-type': manifest.mediaType,
    'docker-content-digest': manifest.digest,
    etag,
    'cache-control': reference.digest ? 'max-age=31536000, immutable' : 'no-cache',
  }
  const known = request.headers['if-none-match']
  if (known !== undefined && (known === etag || known === manifest.digest)) {
    sendEmpty(exchange, 304, headers)
    return
  }
  if (request.method === 'HEAD') {
    exchange.response
      .writeHead(200, {
        'docker-distribution-api-version': 'registry/2.0',
        'x-content-type-options': 'nosniff',
        ...headers,
        'content-length': manifest.sizeBytes,
      })
      .end()
    return
  }
  sendBytes(exchange, 200, headers, await readBytes(manifest))
}
