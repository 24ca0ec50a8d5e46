import { algorithmOf, hexOf } from '@berth/oci'
import { BlobStoreError, DigestMismatch } from './errors.ts'
import type { BlobKey, StagedPart } from './store.ts'

/** Parts in order of their offsets. Throws when they leave a gap or overlap. */
export function inOrder(parts: readonly StagedPart[]): StagedPart[] {
  const ordered = parts.filter((part) => part.sizeBytes > 0).sort((a, b) => a.startOffset - b.startOffset)
  let offset = 0
  for (const part of ordered) {
    if (part.startOffset !== offset) {
      throw new BlobStoreError('conflict', `part ${part.id} starts at ${part.startOffset}, not at ${offset}`)
    }
    offset += part.sizeBytes
  }
  return ordered
}

export function totalBytes(parts: readonly StagedPart[]): number {
  return parts.reduce((sum, part) => sum + part.sizeBytes, 0)
}

/**
 * The one part that can be moved into place as it is, because its own claim hashed it from its first byte to its last;
 * `undefined` when the bytes must be read again. Throws `DigestMismatch` when that part is known to be something else.
 */
export function wholePart(ordered: readonly StagedPart[], { digest }: BlobKey): StagedPart | undefined {
  const [only] = ordered
  if (!only || ordered.length > 1 || algorithmOf(digest) !== 'sha256') return undefined
  if (only.sha256 !== hexOf(digest)) throw new DigestMismatch(digest, `sha256:${only.sha256}`)
  return only
}
