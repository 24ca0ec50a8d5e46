import type { Digest } from '@berth/oci'
import { Problem } from '@berth/service'
import type { ChosenIndexes } from './choose-children.ts'
import type { FetchDeps } from './deps.ts'

/** Notes the tags and digests that no platform is wanted of. */
export function noteUnwanted(
  { options: { platforms }, report: { failures } }: Pick<FetchDeps, 'options' | 'report'>,
  indexes: ChosenIndexes,
  { tags, digests }: { tags: readonly { name: string; digest: Digest }[]; digests: readonly Digest[] },
): void {
  for (const { name, digest } of tags) {
    const why = nothingWanted(digest, indexes, platforms)
    if (why) failures.note(new Problem(why.status, why.code, `Tag "${name}": ${why.message}.`), { tag: name })
  }
  for (const digest of digests) {
    const why = nothingWanted(digest, indexes, platforms)
    if (why) failures.note(why, { digest })
  }
}

/** Why an index cannot be synced, if nothing of it is wanted: neither an image, nor an index below it that has one. */
function nothingWanted(root: Digest, indexes: ChosenIndexes, platforms: readonly string[]): Problem | undefined {
  if (!isBarren(root, indexes, new Set())) return undefined
  const offers = indexes.get(root)?.offers ?? []
  const has = offers.length > 0 ? `it has ${offers.slice(0, 20).join(', ')}` : 'nor have the indexes in it'
  return new Problem(409, 'platform_missing', `the index ${root} has nothing for ${platforms.join(', ')}; ${has}`)
}

function isBarren(digest: Digest, indexes: ChosenIndexes, above: Set<Digest>): boolean {
  const index = indexes.get(digest)
  if (!index || index.isWhole || above.has(digest)) return false
  above.add(digest)
  return index.children.every((child) => isBarren(child, indexes, above))
}
