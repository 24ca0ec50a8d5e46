import { algorithmOf, type Digest, hexOf } from '@berth/oci'
import { DigestMismatch, SizeMismatch } from './errors.ts'

export type Received = { sizeBytes: number; hex: string }

/** Throws when a finished source is not what it was announced to be. */
export function checkReceived(received: Received, digest: Digest, expectedBytes: number | undefined): void {
  const { sizeBytes, hex } = received
  if (expectedBytes !== undefined && sizeBytes !== expectedBytes) throw new SizeMismatch(expectedBytes, sizeBytes)
  if (hexOf(digest) !== hex) throw new DigestMismatch(digest, `${algorithmOf(digest)}:${hex}`)
}
