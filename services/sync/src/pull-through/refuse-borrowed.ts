import type { CatalogCommands, CommandClient } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { type RegistryClient, UpstreamError } from '@berth/registry-client'
import type { NeededBlob } from '../copy/copy-manifests.ts'
import { inParallel } from '../copy/in-parallel.ts'

type Upstream = { client: RegistryClient; repository: string; host: string }

const width = 4

/**
 * Makes sure that upstream itself has those blobs of a manifest that are here already. Else who may write a manifest there could
 * name the digest of what somebody keeps here in private, and pull it from below the base path. Throws `UpstreamError` protocol.
 */
export async function refuseBorrowed(
  catalog: CommandClient<CatalogCommands>,
  { client, repository, host }: Upstream,
  needed: ReadonlyMap<Digest, NeededBlob>,
  signal: AbortSignal,
): Promise<void> {
  const { blobs } = await catalog.call('blob-states', { digests: [...needed.keys()] }, { signal })
  const here = blobs.filter(({ state }) => state === 'present' || state === 'remote').map(({ digest }) => digest)
  await inParallel(here, width, signal, async (digest, both) => {
    const sizeBytes = needed.get(digest)?.sizeBytes
    if (await has(client, repository, { digest, sizeBytes }, both)) return
    throw new UpstreamError(
      'protocol',
      `${host} has a manifest in ${repository} that names ${digest}, which is not there`,
      {
        host,
      },
    )
  })
}

async function has(
  client: RegistryClient,
  repository: string,
  blob: { digest: Digest; sizeBytes: number | undefined },
  signal: AbortSignal,
): Promise<boolean> {
  const size = await client.blobSize(repository, blob.digest, signal)
  if (size !== undefined) return blob.sizeBytes === undefined || size === blob.sizeBytes
  // Some say no length to a HEAD: the first bytes do as well.
  try {
    for await (const chunk of client.blob(repository, blob, signal)) return chunk.length > 0
    return true
  } catch (error) {
    if (error instanceof UpstreamError && error.code === 'not_found') return false
    throw error
  }
}
