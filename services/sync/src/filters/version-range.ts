import { BadPattern, versionOf } from '@berth/oci'
import { Range, validRange } from 'semver'

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
