import { createHash } from 'node:crypto'
import type { BlobStore } from '@berth/blobs'
import { algorithmOf, type Digest, hexOf, OciError } from '@berth/oci'
import { LRUCache } from 'lru-cache'
import type { ServedManifest } from '../model/lookup.ts'

const cacheBytes = 64 << 20

/**
 * Reads the bytes of manifests; those read lately from memory, for what is under a digest cannot change. Bytes that rotted on
 * the disk are answered with 503: if memory took them, they would outlive what heals the disk.
 */
export type ManifestBytes = (manifest: ServedManifest) => Promise<Buffer>

export function createManifestBytes(blobs: BlobStore): ManifestBytes {
  const cache = new LRUCache<Digest, Buffer>({ maxSize: cacheBytes, sizeCalculation: (bytes) => bytes.length + 1 })
  return async ({ digest, stored, sizeBytes }) => {
    // By what they hash to: one digest of a signed manifest may have stood for other bytes before it was collected.
    const known = cache.get(stored.digest)
    if (known) return known
    const blob = await blobs.open(stored, { sizeBytes })
    // The model says that it is served, so the bytes must be there: this is damage, not absence.
    if (!blob)
      throw new OciError('UNAVAILABLE', `the bytes of ${digest} are missing from the store`, {
        headers: { 'retry-after': '60' },
      })
    try {
      const bytes = Buffer.concat(await blob.stream().toArray())
      if (bytes.length !== sizeBytes || !hashesTo(stored.digest, bytes))
        throw new OciError('UNAVAILABLE', `the stored bytes of ${digest} are damaged`, {
          headers: { 'retry-after': '60' },
        })
      cache.set(stored.digest, bytes)
      return bytes
    } finally {
      await blob.close()
    }
  }
}

function hashesTo(digest: Digest, bytes: Buffer): boolean {
  return createHash(algorithmOf(digest)).update(bytes).digest('hex') === hexOf(digest)
}
