import type { Digest } from '@berth/oci'
import { isNested } from '../filters/platform-filter.ts'
import { chooseBelow } from './choose.ts'
import { addName, type Copying, type Graph } from './copy-manifests.ts'
import { inBatches } from './in-parallel.ts'
import { knownManifests } from './known-manifests.ts'

const batch = 200

/**
 * Looks into indexes that the repository has, without a word to upstream: which manifests below them are wanted and not there,
 * as when platforms were added since. Stages what is left out of them.
 */
export async function lookInto(
  copying: Copying,
  graph: Graph,
  repositoryId: string,
  roots: readonly Digest[],
): Promise<ReadonlySet<Digest>> {
  const { catalog, stage, fence, signal } = copying
  const missing = new Set<Digest>()
  const seen = new Set(roots)
  let level: readonly Digest[] = roots
  while (level.length > 0) {
    const below: Digest[] = []
    for (const digests of inBatches(level, batch)) {
      const known = await knownManifests(catalog, digests, signal)
      const taken = []
      for (const record of known.filter((manifest) => manifest.isIndex))
        taken.push(await chooseBelow(copying, record, signal))
      const omitted = taken.flatMap((one) => one.omitted)
      if (omitted.length > 0 && !copying.isPlan)
        await catalog.call('stage-content', { stage, fence, manifests: [], tags: [], omitted }, { signal })
      const children = taken.flatMap(({ kept }) =>
        kept.filter(({ role, optional }) => role === 'manifest' && !optional),
      )
      for (const { record, kept } of taken)
        for (const child of kept) if (child.role === 'manifest') addName(graph, child.digest, record.digest)
      const here = await membersOf(copying, repositoryId, [...new Set(children.map(({ digest }) => digest))])
      for (const child of children) {
        if (!here.has(child.digest)) missing.add(child.digest)
        else if (isNested(child) && !seen.has(child.digest)) {
          seen.add(child.digest)
          below.push(child.digest)
        }
      }
    }
    level = below
  }
  return missing
}

/** Which of these manifests the repository has. */
export async function membersOf(
  { catalog, signal }: Pick<Copying, 'catalog' | 'signal'>,
  repositoryId: string,
  digests: readonly Digest[],
): Promise<ReadonlySet<Digest>> {
  const members = new Set<Digest>()
  for (const some of inBatches(digests, 5_000))
    for (const digest of (await catalog.call('members', { repositoryId, digests: some }, { signal })).digests)
      members.add(digest)
  return members
}
