import { algorithmOf, type Digest, hexOf } from '@berth/oci'
import { DigestMismatch, SizeMismatch } from './errors.ts'

export type Received = { sizeBytes: number; hex: string }

/** Throws when a finished source is not what it was announced to be. */
export function checkReceived(received: Received, digest: Digest, expectedBytes: number | undefined): void {
  checkSize(received, expectedBytes)
  const { hex } = received
  if (hexOf(digest) !== hex) throw new DigestMismatch(digest, `${algorithmOf(digest)}:${hex}`)
}

/** Throws when a finished source has another size than was announced. */
export function checkSize({ sizeBytes }: Pick<Received, 'sizeBytes'>, expectedBytes: number | undefined): void {
  if (expectedBytes !== undefined && sizeBytes !== expectedBytes) throw new SizeMismatch(expectedBytes, sizeBytes)
}
