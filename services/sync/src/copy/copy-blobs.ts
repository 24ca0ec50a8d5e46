import { DigestMismatch, SizeMismatch } from '@berth/blobs'
import type { LeasedBlob, StoredBlob } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { UpstreamError } from '@berth/registry-client'
import { type Copying, leaseSeconds, type NeededBlob } from './copy-manifests.ts'
import { inBatches, inParallel, oneAhead } from './in-parallel.ts'

const leaseBatch = 500
const recordBatch = 200

/** How many bytes came from upstream, and how many were here already. */
export type BlobCounts = { fetchedBytes: number; savedBytes: number; fetched: number }

/**
 * Brings blobs into the store: leases them all, fetches those whose bytes are not there, and tells catalog of each batch
 * that is durable. A run that is killed and begun again so fetches none of those a second time.
 */
export async function copyBlobs(copying: Copying, needed: ReadonlyMap<Digest, NeededBlob>): Promise<BlobCounts> {
  const { catalog, progress, signal, holder, concurrency } = copying
  const counts: BlobCounts = { fetchedBytes: 0, savedBytes: 0, fetched: 0 }
  progress.blobs.total = needed.size
  progress.bytes.total = [...needed.values()].reduce((sum, blob) => sum + (blob.sizeBytes ?? 0), 0)
  let durable: StoredBlob[] = []
  const record = async (atLeast: number) => {
    if (durable.length < atLeast) return
    const blobs = durable
    durable = []
    await catalog.call('record-blobs', { holder, blobs }, { signal })
  }
  try {
    await inParallel(leaseMissing(copying, [...needed.keys()], counts), concurrency, signal, async (lease, both) => {
      const kept = await keptBlob(copying, lease)
      const stored = kept ?? (await tryBlob(copying, lease, needed.get(lease.digest), both))
      if (!stored) return
      durable.push(stored)
      if (kept) counts.savedBytes += kept.sizeBytes
      else {
        counts.fetched++
        counts.fetchedBytes += stored.sizeBytes
      }
      progress.blobs.done++
      await record(recordBatch)
    })
  } finally {
    // Also when the run fails: what came is worth keeping for the next one.
    if (!signal.aborted) await record(1)
  }
  return counts
}

/** Leases blobs, a batch ahead of those that are fetched, and gives those whose bytes are not here. */
async function* leaseMissing(
  copying: Copying,
  digests: readonly Digest[],
  counts: BlobCounts,
): AsyncGenerator<LeasedBlob> {
  const { progress } = copying
  for await (const leases of oneAhead(inBatches(digests, leaseBatch), (batch) => leaseBlobs(copying, batch))) {
    for (const lease of leases) {
      if (lease.state === 'write') {
        yield lease
        continue
      }
      counts.savedBytes += lease.sizeBytes ?? 0
      progress.blobs.done++
      progress.bytes.done += lease.sizeBytes ?? 0
    }
  }
}

async function leaseBlobs({ catalog, holder, signal }: Copying, digests: Digest[]): Promise<LeasedBlob[]> {
  const { blobs } = await catalog.call('lease-blobs', { holder, digests, ttlSeconds: leaseSeconds }, { signal })
  return blobs
}

// A run that was killed leaves bytes in the store that catalog was not told of yet. Under this key they are verified, and
// our lease keeps them.
async function keptBlob({ blobs, progress }: Copying, lease: LeasedBlob): Promise<StoredBlob | undefined> {
  const { digest, generation } = lease
  const stat = lease.isNew ? undefined : await blobs.stat({ digest, generation })
  if (!stat) return undefined
  progress.bytes.done += stat.sizeBytes
  return { digest, generation, sizeBytes: stat.sizeBytes }
}

/** `undefined` when it cannot be had and the run goes on without it. */
async function tryBlob(
  copying: Copying,
  lease: LeasedBlob,
  wanted: NeededBlob | undefined,
  signal: AbortSignal,
): Promise<StoredBlob | undefined> {
  try {
    const urls = wanted?.urls
    const from = (url?: string) => fetchBlob(copying, lease, { sizeBytes: wanted?.sizeBytes, url }, signal)
    const stored = await (urls ? firstOf(urls, from, signal) : from())
    copying.failures.clear()
    return stored
  } catch (error) {
    signal.throwIfAborted()
    copying.failures.note(error, { digest: lease.digest })
    return undefined
  }
}

/** Tries one place after another; what the last one did is told. */
async function firstOf<T>(urls: readonly string[], work: (url: string) => Promise<T>, signal: AbortSignal): Promise<T> {
  let failure: unknown
  for (const url of urls) {
    try {
      return await work(url)
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof UpstreamError)) throw error
      failure = error
    }
  }
  throw failure
}

async function fetchBlob(
  { remote, blobs, progress }: Copying,
  lease: LeasedBlob,
  { sizeBytes, url }: { sizeBytes: number | undefined; url: string | undefined },
  signal: AbortSignal,
): Promise<StoredBlob> {
  const { digest, generation } = lease
  const host = url !== undefined && URL.canParse(url) ? new URL(url).host : remote.host
  try {
    const blob = { digest, sizeBytes }
    const { client, repository } = remote
    const bytes = url === undefined ? client.blob(repository, blob, signal) : client.foreign(url, blob, signal)
    const source = counted(bytes, (bytes) => {
      progress.bytes.done += bytes
      progress.fetchedBytes += bytes
    })
    const stat = await blobs.write({ digest, generation }, source, { signal, expectedBytes: sizeBytes })
    return { digest, generation, sizeBytes: stat.sizeBytes }
  } catch (cause) {
    if (cause instanceof DigestMismatch)
      throw new UpstreamError(
        'bad_digest',
        `${host} gave other bytes than ${digest} for a blob of ${remote.repository}`,
        { host, cause },
      )
    if (cause instanceof SizeMismatch)
      throw new UpstreamError(
        'short_body',
        `${host} gave ${cause.actualBytes} of the ${cause.expectedBytes} bytes of ${digest} in ${remote.repository}`,
        { host, cause },
      )
    throw cause
  }
}

async function* counted(source: AsyncIterable<Uint8Array>, count: (bytes: number) => void): AsyncIterable<Uint8Array> {
  for await (const chunk of source) {
    count(chunk.length)
    yield chunk
  }
}
