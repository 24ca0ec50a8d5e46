import type { Digest } from '@berth/oci'
import type { Copying } from '../copy/copy-manifests.ts'
import { closure } from './follow-companions.ts'

/**
 * What the repository has of tags that did not move, and whose foreign layers it lacks though they are wanted: the remote was told
 * later to include them.
 */
export async function foreignDue(
  { catalog, includeForeignLayers, signal }: Copying,
  repositoryId: string,
  unmoved: ReadonlySet<Digest>,
): Promise<Digest[]> {
  if (!includeForeignLayers || unmoved.size === 0) return []
  const { digests } = await catalog.call('lacks-foreign', { repositoryId }, { signal })
  if (digests.length === 0) return []
  // What came into the repository by other ways is no matter of this remote.
  const own = new Set(await closure({ catalog, signal }, repositoryId, unmoved, { companions: false }))
  return digests.filter((digest) => own.has(digest))
}
