import type { BlobStore } from '@berth/blobs'
import type { CatalogCommands, CommandClient, LeasedBlob } from '@berth/commands'
import type { Digest } from '@berth/oci'

/** The blob store, and the holder of the leases that catalog gives for what is stored there. */
export type Store = { catalog: CommandClient<CatalogCommands>; blobs: BlobStore; holder: string }

/** How long a lease lasts without being renewed. */
export const leaseSeconds = 3_600

/** Leases blobs and manifests, so that their bytes stay until a commit names them. Answers what is known of the bytes of each. */
export async function leaseBlobs(
  { catalog, holder }: Pick<Store, 'catalog' | 'holder'>,
  digests: readonly Digest[],
  signal: AbortSignal,
): Promise<LeasedBlob[]> {
  const request = { holder, digests: [...digests], ttlSeconds: leaseSeconds }
  return (await catalog.call('lease-blobs', request, { signal })).blobs
}
