import type { Digest } from '@berth/oci'
import { UpstreamError } from '@berth/registry-client'
import type { OpenRemote } from '../remotes/open-remote.ts'
import { allOf, type BlobCounts, type BlobDeps, fetchBlobs } from './fetch-blobs.ts'
import type { Origin } from './fetch-by-policy.ts'
import { inParallel } from './in-parallel.ts'
import { knownAt, recordSources, withoutSource } from './sources.ts'

type Deferred = { digest: Digest; sizeBytes: number }

const missingAtOnce = 1_000

/**
 * Fetches what an earlier policy left at this remote; content does not change by it, so it makes no version. What no remote is known
 * to have any more, because the one that had it was deleted, is looked for at this one: always when its policy fetches everything,
 * else in its first run (`isFirst`), which may be the first of a remote that was made anew.
 */
export async function fetchDeferred(
  deps: BlobDeps,
  repositoryId: string,
  origin: Origin,
  { isFirst }: { isFirst: boolean },
  signal: AbortSignal,
): Promise<BlobCounts | undefined> {
  const { policy, db, remoteId } = origin
  if (policy !== 'immediate' && !isFirst) return undefined
  const { upstream, store } = deps
  const total: BlobCounts = { fetchedBytes: 0, savedBytes: 0, fetched: 0 }
  for (let after = ''; ; ) {
    const request = { repositoryId, after, limit: missingAtOnce }
    const { blobs } = await store.catalog.call('list-remote-blobs', request, { signal })
    const last = blobs.at(-1)
    if (!last) return total
    const offered = await findHomeless(upstream, origin, blobs, signal)
    if (policy === 'immediate') {
      const counts = await fetchLate(deps, origin, blobs, { offered, signal })
      total.fetchedBytes += counts.fetchedBytes
      total.savedBytes += counts.savedBytes
      total.fetched += counts.fetched
    } else await recordSources(db, { remoteId, repository: upstream.repository }, [...offered])
    if (blobs.length < missingAtOnce) return total
    after = last.digest
  }
}

async function fetchLate(
  deps: BlobDeps,
  { db, remoteId }: Origin,
  blobs: readonly Deferred[],
  { offered, signal }: { offered: ReadonlySet<Digest>; signal: AbortSignal },
): Promise<BlobCounts> {
  const digests = blobs.map((blob) => blob.digest)
  const here = await knownAt(db, remoteId, digests)
  const missing = blobs.filter(({ digest }) => here.has(digest) || offered.has(digest))
  const needed = new Map(missing.map((blob) => [blob.digest, { ...blob, isLayer: true }]))
  return fetchBlobs(deps, allOf(needed), signal)
}

/** Which of these no remote is known to have, and this one says it has, in their sizes. */
async function findHomeless(
  { client, repository, concurrency }: OpenRemote,
  { db }: Origin,
  blobs: readonly Deferred[],
  signal: AbortSignal,
): Promise<ReadonlySet<Digest>> {
  const digests = blobs.map((blob) => blob.digest)
  const homeless = await withoutSource(db, digests)
  const offered = new Set<Digest>()
  const asked = blobs.filter(({ digest }) => homeless.has(digest))
  await inParallel(asked, concurrency, signal, async ({ digest, sizeBytes }, both) => {
    try {
      if ((await client.blobSize(repository, digest, both)) === sizeBytes) offered.add(digest)
    } catch (error) {
      // It may know no HEAD, or not this blob. It is no worse off than before; what else is wrong, the run itself will meet.
      if (!(error instanceof UpstreamError)) throw error
    }
  })
  return offered
}
