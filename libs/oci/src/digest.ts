declare const digestBrand: unique symbol

/** A checked content digest, `algorithm:hex`, of an algorithm that Berth stores. */
export type Digest = string & { [digestBrand]: true }

export const digestAlgorithms = ['sha256', 'sha512'] as const
export type DigestAlgorithm = (typeof digestAlgorithms)[number]

const hexLengths: Record<DigestAlgorithm, number> = { sha256: 64, sha512: 128 }
const lowerHex = /^[0-9a-f]+$/

/**
 * Reads a digest of a supported algorithm; `undefined` for anything else.
 * Rule: image-spec descriptor.md, "Digests"; upper-case hex is no digest.
 */
export function parseDigest(text: string): Digest | undefined {
  const colon = text.indexOf(':')
  const length = hexLengths[text.slice(0, colon) as DigestAlgorithm]
  const hex = text.slice(colon + 1)
  return hex.length === length && lowerHex.test(hex) ? (text as Digest) : undefined
}

/** Reads a digest that must be one, such as a value out of our own database. Throws `TypeError` otherwise. */
export function asDigest(text: string): Digest {
  const digest = parseDigest(text)
  if (!digest) throw new TypeError(`not a digest: ${text.slice(0, 200)}`)
  return digest
}

/** The algorithm's name, the part before the colon. */
export function algorithmOf(digest: Digest): DigestAlgorithm {
  return digest.slice(0, digest.indexOf(':')) as DigestAlgorithm
}

/** The hex part, after the colon. */
export function hexOf(digest: Digest): string {
  return digest.slice(digest.indexOf(':') + 1)
}
