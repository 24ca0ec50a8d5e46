import { createHash } from 'node:crypto'
import type { BlobKey, BlobStat, BlobStore } from '@berth/blobs'
import { algorithmOf, hexOf } from '@berth/oci'
import type { Throttle } from './throttle.ts'

export type Verdict = { found: 'sound' | 'missing' | 'rotten'; stat: BlobStat | undefined }

/**
 * Reads stored bytes and hashes them again, at a pace if there is one. Throws when they cannot be read, which says nothing
 * about them.
 */
export async function checkBytes(
  blobs: BlobStore,
  key: BlobKey,
  sizeBytes: number,
  signal: AbortSignal,
  pace?: Throttle,
): Promise<Verdict> {
  const first = await look(blobs, key, sizeBytes, signal, pace)
  // A second look before damage is told of: a store may have had a bad moment.
  return first.found === 'sound' ? first : look(blobs, key, sizeBytes, signal, pace)
}

async function look(
  blobs: BlobStore,
  key: BlobKey,
  sizeBytes: number,
  signal: AbortSignal,
  pace?: Throttle,
): Promise<Verdict> {
  const stat = await blobs.stat(key)
  const open = stat && (await blobs.open(key))
  if (!open) return { found: 'missing', stat: undefined }
  try {
    if (open.sizeBytes !== sizeBytes) return { found: 'rotten', stat }
    const hash = createHash(algorithmOf(key.digest))
    for await (const chunk of open.stream({ signal })) {
      hash.update(chunk as Uint8Array)
      await pace?.((chunk as Uint8Array).byteLength)
    }
    return { found: hash.digest('hex') === hexOf(key.digest) ? 'sound' : 'rotten', stat }
  } finally {
    await open.close()
  }
}
