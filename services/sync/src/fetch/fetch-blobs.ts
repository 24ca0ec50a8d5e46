import { createHash } from 'node:crypto'
import { DigestMismatch, SizeMismatch } from '@berth/blobs'
import type { LeasedBlob, StoredBlob } from '@berth/commands'
import { algorithmOf, type Digest } from '@berth/oci'
import { UpstreamError } from '@berth/registry-client'
import type { OpenRemote } from '../remotes/open-remote.ts'
import type { BlobSource, NeededBlob } from './blob-line.ts'
import type { Report } from './deps.ts'
import { inBatches, inParallel, oneAhead } from './in-parallel.ts'
import { leaseBlobs, type Store } from './lease-blobs.ts'
import type { Proofs } from './proofs.ts'
import { findUnproven } from './prove-blobs.ts'

/** What fetching blobs works with. */
export type BlobDeps = {
  upstream: OpenRemote & { proofs: Pick<Proofs, 'ofStored' | 'given'> }
  store: Store
  report: Report
}

const leaseBatch = 500
const recordBatch = 200

/** How many bytes were fetched from upstream, and how many were here already. */
export type BlobCounts = { fetchedBytes: number; savedBytes: number; fetched: number }

/** All of these, and no more. */
export function allOf(needed: ReadonlyMap<Digest, NeededBlob>): BlobSource {
  return { needed, batches: (size) => inBatches([...needed.keys()], size) }
}

/**
 * Fetches blobs into the store: leases them all, fetches those whose bytes are not there, and tells catalog of each batch that is
 * durable. A run that is killed and begun again so fetches none of those a second time. `stop` ends it as a failure does: what has
 * come by then is still told.
 */
export async function fetchBlobs(
  deps: BlobDeps,
  source: BlobSource,
  signal: AbortSignal,
  stop = signal,
): Promise<BlobCounts> {
  const { upstream, store, report } = deps
  const { needed } = source
  const counts: BlobCounts = { fetchedBytes: 0, savedBytes: 0, fetched: 0 }
  // When a blob fails, what is asked a batch ahead is awaited no more: it has to end by itself.
  const ended = new AbortController()
  const ahead = AbortSignal.any([stop, ended.signal])
  let durable: StoredBlob[] = []
  let given: Digest[] = []
  const record = async (atLeast: number) => {
    if (Math.max(durable.length, given.length) < atLeast) return
    const [blobs, shown] = [durable, given]
    durable = []
    given = []
    // First, so that upstream need not show again to a run that is begun again what catalog says is here.
    await upstream.proofs.given(shown)
    if (blobs.length > 0) await store.catalog.call('record-blobs', { holder: store.holder, blobs }, { signal })
  }
  try {
    await inParallel(leaseMissing(deps, source, counts, ahead), upstream.concurrency, stop, async (lease, both) => {
      const blob = needed.get(lease.digest)
      const found = await findStored(deps, lease, signal)
      const stored = found ?? (await tryBlob(deps, lease, blob, both))
      if (!stored) return
      if (lease.state === 'write') durable.push(stored)
      if (!blob?.urls) given.push(stored.digest)
      if (found) counts.savedBytes += found.sizeBytes
      else {
        counts.fetched++
        counts.fetchedBytes += stored.sizeBytes
      }
      report.progress.blobs.done++
      await record(recordBatch)
    })
    // That there was nothing to fetch is known only now.
    report.progress.blobs.total ??= 0
    report.progress.bytes.total ??= 0
  } finally {
    ended.abort()
    // Also when the run fails: what came is worth keeping for the next one.
    if (!signal.aborted) await record(1)
  }
  return counts
}

/**
 * Leases blobs, a batch ahead of those that are fetched, and gives those whose bytes are not here, or are for upstream to show. Of
 * the latter nothing is stored again.
 */
async function* leaseMissing(
  { upstream, store, report: { progress } }: BlobDeps,
  { needed, batches }: BlobSource,
  counts: BlobCounts,
  signal: AbortSignal,
): AsyncGenerator<LeasedBlob> {
  const leased = oneAhead(batches(leaseBatch), async (batch) => {
    progress.blobs.total = (progress.blobs.total ?? 0) + batch.length
    progress.bytes.total = batch.reduce(
      (sum, digest) => sum + (needed.get(digest)?.sizeBytes ?? 0),
      progress.bytes.total ?? 0,
    )
    const leases = await leaseBlobs(store, batch, signal)
    return { leases, unproven: await findUnproven(upstream, leases, needed, signal) }
  })
  for await (const { leases, unproven } of leased) {
    for (const lease of leases) {
      if (lease.state === 'write' || unproven.has(lease.digest)) {
        yield lease
        continue
      }
      counts.savedBytes += lease.sizeBytes ?? 0
      progress.blobs.done++
      progress.bytes.done += lease.sizeBytes ?? 0
    }
  }
}

// A run that was killed leaves bytes in the store that catalog was not told of yet. Under this key they are verified, and this
// run's lease keeps them. Under a key that another run leased too they may be what that one fetched, and upstream may lack them.
async function findStored(
  { store, report }: Pick<BlobDeps, 'store' | 'report'>,
  lease: LeasedBlob,
  signal: AbortSignal,
): Promise<StoredBlob | undefined> {
  const { digest, generation } = lease
  if (lease.state === 'present' || lease.isNew || !lease.isAlone) return undefined
  const stat = await store.blobs.stat({ digest, generation })
  if (!stat) return undefined
  // It may be long since that lease was taken. A run that came meanwhile leased before it wrote, so now it shows.
  const [now] = await leaseBlobs(store, [digest], signal)
  if (!now?.isAlone || now.generation !== generation) return undefined
  report.progress.bytes.done += stat.sizeBytes
  return { digest, generation, sizeBytes: stat.sizeBytes }
}

/** `undefined` when it cannot be fetched and the run goes on without it. */
async function tryBlob(
  deps: BlobDeps,
  lease: LeasedBlob,
  wanted: NeededBlob | undefined,
  signal: AbortSignal,
): Promise<StoredBlob | undefined> {
  try {
    const urls = wanted?.urls
    const from = (url?: string) => fetchBlob(deps, lease, { sizeBytes: wanted?.sizeBytes, url }, signal)
    // A layer that lies elsewhere may be with upstream all the same.
    const stored = await (urls ? firstOf([...urls, undefined], from, signal) : from())
    deps.report.failures.clear()
    return stored
  } catch (error) {
    signal.throwIfAborted()
    deps.report.failures.note(error, { digest: lease.digest })
    return undefined
  }
}

/** Tries one place after another, upstream (`undefined`) last; what the last one but that did is told. */
async function firstOf<T>(
  urls: readonly (string | undefined)[],
  work: (url: string | undefined) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  let failure: unknown
  for (const url of urls) {
    try {
      return await work(url)
    } catch (error) {
      signal.throwIfAborted()
      if (!(error instanceof UpstreamError)) throw error
      if (url !== undefined) failure = error
    }
  }
  throw failure
}

async function fetchBlob(
  { upstream, store, report: { progress } }: BlobDeps,
  lease: LeasedBlob,
  { sizeBytes, url }: { sizeBytes: number | undefined; url: string | undefined },
  signal: AbortSignal,
): Promise<StoredBlob> {
  const { digest, generation } = lease
  const host = url !== undefined && URL.canParse(url) ? new URL(url).host : upstream.host
  try {
    const blob = { digest, sizeBytes }
    const { client, repository } = upstream
    const bytes = url === undefined ? client.blob(repository, blob, signal) : client.foreign(url, blob, signal)
    const source = counted(bytes, (bytes) => {
      progress.bytes.done += bytes
      progress.fetchedBytes += bytes
    })
    const stat =
      lease.state === 'present'
        ? await readWhole(digest, source, sizeBytes)
        : await store.blobs.write({ digest, generation }, source, {
            signal,
            givesChunks: true,
            expectedBytes: sizeBytes,
          })
    return { digest, generation, sizeBytes: stat.sizeBytes }
  } catch (cause) {
    if (cause instanceof DigestMismatch)
      throw new UpstreamError(
        'bad_digest',
        `${host} gave other bytes than ${digest} for a blob of ${upstream.repository}`,
        { host, cause },
      )
    if (cause instanceof SizeMismatch)
      throw new UpstreamError(
        'short_body',
        `${host} gave ${cause.actualBytes} of the ${cause.expectedBytes} bytes of ${digest} in ${upstream.repository}`,
        { host, cause },
      )
    throw cause
  }
}

/** Reads what is stored already to its end. Throws as a write of it would. */
async function readWhole(
  digest: Digest,
  source: AsyncIterable<Uint8Array>,
  expectedBytes: number | undefined,
): Promise<{ sizeBytes: number }> {
  const hash = createHash(algorithmOf(digest))
  let sizeBytes = 0
  for await (const chunk of source) {
    hash.update(chunk)
    sizeBytes += chunk.length
  }
  if (expectedBytes !== undefined && sizeBytes !== expectedBytes) throw new SizeMismatch(expectedBytes, sizeBytes)
  const actual = `${algorithmOf(digest)}:${hash.digest('hex')}`
  if (actual !== digest) throw new DigestMismatch(digest, actual)
  return { sizeBytes }
}

async function* counted(source: AsyncIterable<Uint8Array>, count: (bytes: number) => void): AsyncIterable<Uint8Array> {
  for await (const chunk of source) {
    count(chunk.length)
    yield chunk
  }
}
