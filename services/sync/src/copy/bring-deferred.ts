import type { Digest } from '@berth/oci'
import { UpstreamError } from '@berth/registry-client'
import { knownAt, recordSources, withoutSource } from '../on-demand/sources.ts'
import type { Origin } from './bring-blobs.ts'
import { allOf, type BlobCounts, copyBlobs } from './copy-blobs.ts'
import type { Copying } from './copy-manifests.ts'
import { inParallel } from './in-parallel.ts'

type Deferred = { digest: Digest; sizeBytes: number }

const missingAtOnce = 1_000

/**
 * Fetches what an earlier policy left at this remote; content does not change by it, so it makes no version. What no remote is known
 * to have any more, because the one that had it was deleted, is looked for at this one: always when its policy fetches everything,
 * else in its first run (`isFirst`), which may be the first of a remote that was made anew.
 */
export async function bringDeferred(
  copying: Copying,
  repositoryId: string,
  origin: Origin,
  { isFirst }: { isFirst: boolean },
): Promise<BlobCounts | undefined> {
  const { policy, db, remoteId } = origin
  if (policy !== 'immediate' && !isFirst) return undefined
  const { catalog, remote, signal } = copying
  const total: BlobCounts = { fetchedBytes: 0, savedBytes: 0, fetched: 0 }
  for (let after = ''; ; ) {
    const request = { repositoryId, after, limit: missingAtOnce }
    const { blobs } = await catalog.call('remote-blobs', request, { signal })
    const last = blobs.at(-1)
    if (!last) return total
    const offered = await homelessAt(copying, origin, blobs)
    if (policy === 'immediate') {
      const counts = await fetchLate(copying, origin, blobs, offered)
      total.fetchedBytes += counts.fetchedBytes
      total.savedBytes += counts.savedBytes
      total.fetched += counts.fetched
    } else await recordSources(db, { remoteId, repository: remote.repository }, [...offered])
    if (blobs.length < missingAtOnce) return total
    after = last.digest
  }
}

async function fetchLate(
  copying: Copying,
  { db, remoteId }: Origin,
  blobs: readonly Deferred[],
  offered: ReadonlySet<Digest>,
): Promise<BlobCounts> {
  const digests = blobs.map((blob) => blob.digest)
  const here = await knownAt(db, remoteId, digests)
  const missing = blobs.filter(({ digest }) => here.has(digest) || offered.has(digest))
  return copyBlobs(copying, allOf(new Map(missing.map((blob) => [blob.digest, { ...blob, isLayer: true }]))))
}

/** Which of these no remote is known to have, and this one says it has, in their sizes. */
async function homelessAt(
  { remote, concurrency, signal }: Copying,
  { db }: Origin,
  blobs: readonly Deferred[],
): Promise<ReadonlySet<Digest>> {
  const digests = blobs.map((blob) => blob.digest)
  const homeless = await withoutSource(db, digests)
  const offered = new Set<Digest>()
  const asked = blobs.filter(({ digest }) => homeless.has(digest))
  await inParallel(asked, concurrency, signal, async ({ digest, sizeBytes }, both) => {
    try {
      if ((await remote.client.blobSize(remote.repository, digest, both)) === sizeBytes) offered.add(digest)
    } catch (error) {
      // It may know no HEAD, or not this blob. It is no worse off than before; what else is wrong, the run itself will meet.
      if (!(error instanceof UpstreamError)) throw error
    }
  })
  return offered
}
