import { BadPattern, type Digest, parseDigest, parseTagPattern } from '@berth/oci'
import { readVersionRange } from './version-range.ts'

/** One entry of a remote's `includeTags` or `excludeTags`. */
export type FilterEntry =
  | { kind: 'tag'; tag: string }
  | { kind: 'some'; matches: (tag: string) => boolean }
  | { kind: 'digest'; digest: Digest }
  | { kind: 'newest'; count: number }

const mostNewest = 100_000

/**
 * Reads an entry: a tag, a pattern of tags, `sha256:…` (or `sha512:…`), `semver:RANGE` or `newest:N`. A tag has no colon, so
 * these words are nobody's tag. Throws `BadPattern`, which names the place.
 */
export function readFilterEntry(text: string): FilterEntry {
  const colon = text.indexOf(':')
  if (colon < 0) {
    const { isExact, matches } = parseTagPattern(text)
    return isExact ? { kind: 'tag', tag: text } : { kind: 'some', matches }
  }
  const word = text.slice(0, colon)
  const rest = text.slice(colon + 1)
  switch (word) {
    case 'semver':
      return { kind: 'some', matches: readVersionRange(rest, colon + 2) }
    case 'newest':
      return { kind: 'newest', count: readCount(rest, colon + 2) }
    case 'sha256':
    case 'sha512':
      return { kind: 'digest', digest: readDigest(word, rest) }
    default:
      throw new BadPattern(
        '":" is no part of a tag, and only sha256:, sha512:, semver: and newest: may begin so',
        colon + 1,
      )
  }
}

function readCount(text: string, position: number): number {
  const count = /^[1-9]\d{0,5}$/.test(text) ? Number(text) : 0
  if (count < 1 || count > mostNewest) throw new BadPattern(`newest: takes a number from 1 to ${mostNewest}`, position)
  return count
}

const digestDigits = { sha256: 64, sha512: 128 }

function readDigest(algorithm: 'sha256' | 'sha512', hex: string): Digest {
  const digest = parseDigest(`${algorithm}:${hex}`)
  if (digest) return digest
  const strange = /[^0-9a-f]/.exec(hex)
  if (strange)
    throw new BadPattern(`"${strange[0]}" is no hexadecimal digit (0-9, a-f)`, algorithm.length + 2 + strange.index)
  const digits = digestDigits[algorithm]
  throw new BadPattern(`a ${algorithm} digest has ${digits} digits, not ${hex.length},`, algorithm.length + 2)
}
