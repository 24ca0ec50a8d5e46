import { parse, type SemVer } from 'semver'

// Fifteen digits are the most that every reader of versions counts exactly.
const partial = /^v?(\d{1,15})(?:\.(\d{1,15}))?(?:\.(\d{1,15}))?(-[0-9A-Za-z.-]+)?$/

/**
 * The version that a tag names, if it names one (semver.org, section 11): `1.20.0-rc.1` for `v1.20-rc.1`. What is left away counts
 * as 0, for many upstreams tag `1.20` and `3`; zeros before a number do not.
 */
export function versionOf(tag: string): SemVer | undefined {
  const [, major, minor = '0', patch = '0', prerelease = ''] = partial.exec(tag) ?? []
  if (major === undefined) return undefined
  return parse(`${[major, minor, patch].map(BigInt).join('.')}${prerelease}`) ?? undefined
}

const natural = new Intl.Collator('en', { numeric: true })

/**
 * Orders tags from the newest: versions first, the highest first; after them the names that are no versions, in natural order
 * (numbers by their value) from the last. What is equal so far goes by the order of characters.
 */
export function newestFirst(tags: readonly string[]): string[] {
  const known = tags.map((tag) => ({ tag, version: versionOf(tag) }))
  const order = (a: (typeof known)[number], b: (typeof known)[number]) => {
    if (a.version && b.version) return b.version.compare(a.version) || ascending(a.tag, b.tag)
    if (a.version || b.version) return a.version ? -1 : 1
    return natural.compare(b.tag, a.tag) || ascending(a.tag, b.tag)
  }
  return known.sort(order).map(({ tag }) => tag)
}

function ascending(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
