import { BadPattern } from '@berth/oci'
import { compare, Range, SemVer, valid, validRange } from 'semver'

const partial = /^v?(\d{1,15})(?:\.(\d{1,15}))?(?:\.(\d{1,15}))?(-[0-9A-Za-z.-]+)?$/

/**
 * The version that a tag names, if it does: `1.2.3`, with a leading v or not; what is left away counts as 0, for many upstreams
 * tag `1.20` and `3`.
 */
export function versionOf(tag: string): SemVer | undefined {
  const [, major, minor = '0', patch = '0', prerelease = ''] = partial.exec(tag) ?? []
  if (major === undefined) return undefined
  const text = [major, minor, patch].map((digits) => String(BigInt(digits))).join('.') + prerelease
  return valid(text) === null ? undefined : new SemVer(text)
}

/**
 * Reads a range as npm writes it (node-semver, "Ranges"); a prerelease matches only where a comparator names one of its own
 * major, minor and patch. `position` is that of its first character. Throws `BadPattern`.
 */
export function readVersionRange(text: string, position: number): (tag: string) => boolean {
  const range = rangeOf(text, position)
  return (tag) => {
    const version = versionOf(tag)
    return version !== undefined && range.test(version)
  }
}

function rangeOf(text: string, position: number): Range {
  if (text.trim() === '') throw new BadPattern('semver: names no range', position)
  try {
    return new Range(text)
  } catch {
    // node-semver says which range it could not read, not where: the first comparator that is none by itself is the culprit.
    for (const { 0: comparator, index } of text.matchAll(/(?:[<>=~^]+\s*)?[^\s|]+/g))
      if (comparator !== '-' && !isRange(comparator))
        throw new BadPattern(`"${comparator}" is no version or comparator`, position + index)
    throw new BadPattern(`"${text}" is no range of versions`, position)
  }
}

function isRange(text: string): boolean {
  return validRange(text) !== null
}

const natural = new Intl.Collator('en', { numeric: true })

/**
 * Orders tags from the newest: versions first, the highest first; after them the names that are no versions, in natural order
 * (numbers by their value) from the last. What is equal so far goes by the order of characters.
 */
export function newestFirst(tags: readonly string[]): string[] {
  const known = tags.map((tag) => ({ tag, version: versionOf(tag) }))
  const order = (a: (typeof known)[number], b: (typeof known)[number]) => {
    if (a.version && b.version) return compare(b.version, a.version) || byCharacters(a.tag, b.tag)
    if (a.version || b.version) return a.version ? -1 : 1
    return natural.compare(b.tag, a.tag) || byCharacters(a.tag, b.tag)
  }
  return known.sort(order).map(({ tag }) => tag)
}

function byCharacters(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
