import type { Digest } from '@berth/oci'
import { chooseOfStored } from '../fetch/choose-children.ts'
import type { FetchDeps } from '../fetch/deps.ts'
import { addName, type Graph } from '../fetch/graph.ts'
import { inBatches } from '../fetch/in-parallel.ts'
import { isNested } from '../fetch/platform-filter.ts'
import { readKnownManifests } from '../fetch/read-known-manifests.ts'
import { stageContent } from '../fetch/stage-content.ts'
import { readMembers } from './read-repository.ts'

const batchSize = 200

/**
 * Looks into indexes that the repository has, without a word to upstream: which manifests below them are wanted and not there,
 * as when platforms were added since. Stages what is left out of them.
 */
export async function findAbsentBelow(
  { catalog, store, stage, options }: Pick<FetchDeps, 'catalog' | 'store' | 'stage' | 'options'>,
  graph: Graph,
  repositoryId: string,
  roots: readonly Digest[],
  signal: AbortSignal,
): Promise<ReadonlySet<Digest>> {
  const missing = new Set<Digest>()
  const seen = new Set(roots)
  let level: readonly Digest[] = roots
  while (level.length > 0) {
    const below: Digest[] = []
    for (const digests of inBatches(level, batchSize)) {
      const known = await readKnownManifests(catalog, digests, signal)
      const choices = []
      for (const record of known.filter((manifest) => manifest.isIndex))
        choices.push(await chooseOfStored({ blobs: store.blobs, options }, graph.indexes, record, signal))
      const omitted = choices.flatMap((one) => one.omitted)
      if (omitted.length > 0 && !options.isPlan) await stageContent(stage, { omitted }, signal)
      const children = choices.flatMap(({ wanted }) => {
        // What is a blob too is one here, or a manifest that came with all others: nothing leaves such an entry out.
        const blobs = new Set(wanted.filter(({ role }) => role === 'layer').map(({ digest }) => digest))
        return wanted.filter(({ role, optional, digest }) => role === 'manifest' && !optional && !blobs.has(digest))
      })
      for (const { record, wanted } of choices)
        for (const child of wanted) if (child.role === 'manifest') addName(graph, child.digest, record.digest)
      const named = [...new Set(children.map(({ digest }) => digest))]
      const here = await readMembers(catalog, repositoryId, named, signal)
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
