import type { CatalogCommands, CommandClient, ManifestRecord } from '@berth/commands'
import type { Digest } from '@berth/oci'

/** Which of these manifests catalog has recorded, asked for in as many calls as their sizes need. */
export async function readKnownManifests(
  catalog: CommandClient<CatalogCommands>,
  digests: readonly Digest[],
  signal: AbortSignal,
): Promise<ManifestRecord[]> {
  const known: ManifestRecord[] = []
  let wanted = [...digests]
  while (wanted.length > 0) {
    const { manifests, rest } = await catalog.call('list-known-manifests', { digests: wanted }, { signal })
    known.push(...manifests)
    wanted = rest
  }
  return known
}
