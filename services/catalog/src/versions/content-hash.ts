import { createHash } from 'node:crypto'

const modulus = 1n << 256n

/** The hash of an empty content set. */
export const emptyContentHash = '0'.repeat(64)

/**
 * A hash of a set that can be carried forward: the sum, modulo 2^256, of the SHA-256 of each member. Two versions have the
 * same hash when they have the same tags, manifests and signatures, however they came about; a change costs what it changes and not
 * what the version holds. Blobs need no part in it: the manifests name them.
 */
export function changeContentHash(hash: string, added: Iterable<string>, removed: Iterable<string>): string {
  let sum = BigInt(`0x${hash}`)
  for (const member of added) sum += hashOf(member)
  for (const member of removed) sum += modulus - hashOf(member)
  return (sum % modulus).toString(16).padStart(64, '0')
}

function hashOf(member: string): bigint {
  return BigInt(`0x${createHash('sha256').update(member).digest('hex')}`)
}
