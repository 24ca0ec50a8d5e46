import type { LeasedBlob } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Database } from '@berth/service'
import { recordSources } from '../on-demand/sources.ts'
import type { NeededBlob } from './blob-line.ts'
import { allOf, type BlobCounts, copyBlobs } from './copy-blobs.ts'
import { type Copying, leaseSeconds } from './copy-manifests.ts'
import { inBatches } from './in-parallel.ts'
import type { Proof } from './proofs.ts'
import { askWord } from './unproven.ts'
import type { Brought } from './while-found.ts'

/** The remote that a run copies from, and where it is noted what it has. */
export type Origin = { db: Database; remoteId: string; policy: string }

const sourcesAtOnce = 10_000
const leasesAtOnce = 500

/**
 * Brings the blobs of a run as the policy of its remote says: `immediate` copies all of them; with the others layers stay at
 * the remote until they are pulled. Configurations come at once, for lists and filters read them, and so does what has no
 * size in its manifest (schema 1). What was `brought` already is only noted.
 */
export async function bringBlobs(
  copying: Copying,
  needed: ReadonlyMap<Digest, NeededBlob>,
  origin: Origin,
  brought?: Brought,
): Promise<BlobCounts> {
  const foreign = [...needed.values()].flatMap(({ digest, urls }) => (urls ? [digest] : []))
  const left = brought ? new Map([...needed].filter(([digest]) => !brought.needed.has(digest))) : needed
  const brings = await bringByPolicy(copying, left, origin)
  const counts = brought ? sum(brought.counts, brings) : brings
  // Afterwards: what upstream only named, and did not show, is not to be looked for there.
  const failed = copying.failures.byDigest
  const own = [...needed.keys()].filter((digest) => !needed.get(digest)?.urls && !failed.has(digest))
  await noteSources(copying, own, origin)
  await stageForeign(copying, foreign)
  return counts
}

/** Has the blobs come with the commit, which by itself leaves foreign layers where they are. */
async function stageForeign({ catalog, stage, fence, signal, failures }: Copying, foreign: Digest[]): Promise<void> {
  const here = foreign.filter((digest) => !failures.byDigest.has(digest))
  for (const blobs of inBatches(here, sourcesAtOnce))
    await catalog.call('stage-content', { stage, fence, manifests: [], tags: [], blobs }, { signal })
}

async function bringByPolicy(
  copying: Copying,
  needed: ReadonlyMap<Digest, NeededBlob>,
  origin: Origin,
): Promise<BlobCounts> {
  if (origin.policy === 'immediate') return copyBlobs(copying, allOf(needed))
  const staying = [...needed.values()].flatMap(({ digest, sizeBytes, isLayer, urls }) =>
    isLayer && !urls && sizeBytes !== undefined ? [{ digest, sizeBytes }] : [],
  )
  const stays = new Set(staying.map((blob) => blob.digest))
  const counts = await copyBlobs(copying, allOf(new Map([...needed].filter(([digest]) => !stays.has(digest)))))
  const unsettled = new Set(await deferBlobs(copying, staying))
  if (unsettled.size === 0) return counts
  const settled = await copyBlobs(copying, allOf(new Map([...needed].filter(([digest]) => unsettled.has(digest)))))
  return sum(counts, settled)
}

function sum(one: BlobCounts, other: BlobCounts): BlobCounts {
  return {
    fetchedBytes: one.fetchedBytes + other.fetchedBytes,
    savedBytes: one.savedBytes + other.savedBytes,
    fetched: one.fetched + other.fetched,
  }
}

async function noteSources(
  { remote, signal }: Copying,
  digests: readonly Digest[],
  { db, remoteId }: Origin,
): Promise<void> {
  for (const batch of inBatches(digests, sourcesAtOnce)) {
    signal.throwIfAborted()
    await recordSources(db, { remoteId, repository: remote.repository }, batch)
  }
}

/**
 * Notes that blobs stay at the remote. Answers those that have to come all the same: known to be at a remote, but of another size (one
 * of two upstreams lies, and a fetch with the wrong size fails: the bytes show who is right), or to be proven by their bytes.
 */
async function deferBlobs(
  copying: Copying,
  staying: readonly { digest: Digest; sizeBytes: number }[],
): Promise<Digest[]> {
  const { catalog, stage, fence, holder, progress, signal } = copying
  const coming: Digest[] = []
  for (const batch of inBatches(staying, leasesAtOnce)) {
    const digests = batch.map((blob) => blob.digest)
    const request = { holder, digests, ttlSeconds: leaseSeconds }
    const { blobs: leases } = await catalog.call('lease-blobs', request, { signal })
    const absent = new Map(leases.flatMap((lease) => (lease.state === 'write' ? [[lease.digest, lease]] : [])))
    const unproven = await notShown(copying, batch, absent)
    const deferred = batch.filter(({ digest }) => absent.has(digest) && !unproven.has(digest))
    const isDisputed = ({ digest, sizeBytes }: { digest: Digest; sizeBytes: number }) =>
      absent.has(digest) && (absent.get(digest)?.sizeBytes ?? sizeBytes) !== sizeBytes
    const come = batch.filter((blob) => isDisputed(blob) || unproven.has(blob.digest))
    coming.push(...come.map((blob) => blob.digest))
    await catalog.call('stage-content', { stage, fence, manifests: [], tags: [], deferred }, { signal })
    const settled = batch.length - come.length
    progress.blobs.total = (progress.blobs.total ?? 0) + settled
    progress.blobs.done += settled
  }
  return coming
}

/** Those of a batch that Berth has, or knows of at another remote, and that this upstream has not shown to have. */
async function notShown(
  copying: Copying,
  batch: readonly { digest: Digest; sizeBytes: number }[],
  absent: ReadonlyMap<Digest, LeasedBlob>,
): Promise<ReadonlySet<Digest>> {
  const { catalog, proofs, signal } = copying
  const missing = [...absent.keys()]
  const states = missing.length > 0 ? (await catalog.call('blob-states', { digests: missing }, { signal })).blobs : []
  const away = states.flatMap(({ digest, state }) => (state === 'remote' ? [digest] : []))
  const proofOf = away.length > 0 ? await proofs.ofRemote(away, signal) : new Map<Digest, Proof>()
  const said = await askWord(
    copying,
    batch.filter(({ digest }) => proofOf.get(digest) === 'word'),
  )
  const here = batch.flatMap(({ digest }) => (absent.has(digest) ? [] : [digest]))
  const stored = here.length > 0 ? await proofs.ofStored(here, signal) : new Map<Digest, Proof>()
  return new Set([...stored.keys(), ...[...proofOf.keys()].filter((digest) => !said.has(digest))])
}
