/** The version that a tag names (semver.org, section 11). Without `prerelease` it is a release. */
export type TagVersion = { release: readonly [bigint, bigint, bigint]; prerelease: readonly string[] }

// Fifteen digits are the most that every reader of versions counts exactly.
const partial = /^v?(\d{1,15})(?:\.(\d{1,15}))?(?:\.(\d{1,15}))?(?:-([0-9A-Za-z.-]+))?$/
const number = /^(?:0|[1-9]\d*)$/
const identifier = /^(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)$/

/**
 * The version that a tag names, if it does: `1.2.3`, with a leading v or not; what is left away counts as 0, for many upstreams
 * tag `1.20` and `3`.
 */
export function versionOf(tag: string): TagVersion | undefined {
  const [, major, minor = '0', patch = '0', rest] = partial.exec(tag) ?? []
  if (major === undefined) return undefined
  const prerelease = rest?.split('.') ?? []
  if (!prerelease.every((part) => identifier.test(part))) return undefined
  return { release: [BigInt(major), BigInt(minor), BigInt(patch)], prerelease }
}

/** As a version is written in full: `1.20.0-rc.1`. */
export function versionText({ release, prerelease }: TagVersion): string {
  return [release.join('.'), ...(prerelease.length > 0 ? [prerelease.join('.')] : [])].join('-')
}

const natural = new Intl.Collator('en', { numeric: true })

/**
 * Orders tags from the newest: versions first, the highest first; after them the names that are no versions, in natural order
 * (numbers by their value) from the last. What is equal so far goes by the order of characters.
 */
export function newestFirst(tags: readonly string[]): string[] {
  const known = tags.map((tag) => ({ tag, version: versionOf(tag) }))
  const order = (a: (typeof known)[number], b: (typeof known)[number]) => {
    if (a.version && b.version) return compareVersions(b.version, a.version) || ascending(a.tag, b.tag)
    if (a.version || b.version) return a.version ? -1 : 1
    return natural.compare(b.tag, a.tag) || ascending(a.tag, b.tag)
  }
  return known.sort(order).map(({ tag }) => tag)
}

function compareVersions(a: TagVersion, b: TagVersion): number {
  for (const i of [0, 1, 2] as const) if (a.release[i] !== b.release[i]) return ascending(a.release[i], b.release[i])
  // A release is higher than all its prereleases.
  if (a.prerelease.length === 0 || b.prerelease.length === 0) return ascending(b.prerelease.length, a.prerelease.length)
  for (const [i, own] of a.prerelease.entries()) {
    const other = b.prerelease[i]
    if (other === undefined) return 1
    const order = compareIdentifiers(own, other)
    if (order !== 0) return order
  }
  return ascending(a.prerelease.length, b.prerelease.length)
}

/** Numbers by their value and below words; words by their characters. */
function compareIdentifiers(a: string, b: string): number {
  const [isNumberA, isNumberB] = [number.test(a), number.test(b)]
  if (isNumberA && isNumberB) return ascending(BigInt(a), BigInt(b))
  if (isNumberA !== isNumberB) return isNumberA ? -1 : 1
  return ascending(a, b)
}

function ascending<T extends string | number | bigint>(a: T, b: T): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
