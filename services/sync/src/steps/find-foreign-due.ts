import type { Digest } from '@berth/oci'
import type { FetchDeps } from '../fetch/deps.ts'
import { readClosure } from './read-repository.ts'

/**
 * What the repository has of tags that did not move, and whose foreign layers it lacks though they are wanted: the remote was told
 * later to include them.
 */
export async function findForeignDue(
  { catalog, options }: Pick<FetchDeps, 'catalog' | 'options'>,
  repositoryId: string,
  unmoved: ReadonlySet<Digest>,
  signal: AbortSignal,
): Promise<Digest[]> {
  if (!options.includeForeignLayers || unmoved.size === 0) return []
  const { digests } = await catalog.call('list-lacking-foreign', { repositoryId }, { signal })
  if (digests.length === 0) return []
  // What came into the repository by other ways is no matter of this remote.
  const own = new Set(await readClosure(catalog, repositoryId, unmoved, { companions: false }, signal))
  return digests.filter((digest) => own.has(digest))
}
