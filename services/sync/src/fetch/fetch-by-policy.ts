import type { LeasedBlob } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Database } from '@berth/service'
import type { NeededBlob } from './blob-line.ts'
import type { Upstream } from './deps.ts'
import { allOf, type BlobCounts, type BlobDeps, fetchBlobs } from './fetch-blobs.ts'
import { inBatches } from './in-parallel.ts'
import { leaseBlobs } from './lease-blobs.ts'
import type { Proof } from './proofs.ts'
import { proveByWord } from './prove-blobs.ts'
import { recordSources } from './sources.ts'
import { type Stage, stageContent } from './stage-content.ts'

/** The remote that content is fetched from, and where it is noted what it has. */
export type Origin = { db: Database; remoteId: string; policy: string }

/** Blobs that were fetched already, and what that came to. */
export type Fetched = { needed: ReadonlyMap<Digest, NeededBlob>; counts: BlobCounts }

/** What fetching by policy works with. */
export type PolicyDeps = BlobDeps & { upstream: Upstream; stage: Stage }

const sourcesAtOnce = 10_000
const leasesAtOnce = 500

/**
 * Fetches the blobs of a run as the policy of its remote says: `immediate` fetches all of them; with the others layers stay at
 * the remote until they are pulled. Configurations are fetched at once, for lists and filters read them, and so is what has no
 * size in its manifest (schema 1). What was `fetched` already is only noted.
 */
export async function fetchByPolicy(
  deps: PolicyDeps,
  needed: ReadonlyMap<Digest, NeededBlob>,
  origin: Origin,
  signal: AbortSignal,
  fetched?: Fetched,
): Promise<BlobCounts> {
  const foreign = [...needed.values()].flatMap(({ digest, urls }) => (urls ? [digest] : []))
  const left = fetched ? new Map([...needed].filter(([digest]) => !fetched.needed.has(digest))) : needed
  const rest = await fetchRest(deps, left, origin, signal)
  const counts = fetched ? sum(fetched.counts, rest) : rest
  // Afterwards: what upstream only named, and did not show, is not to be looked for there.
  const failed = deps.report.failures.byDigest
  const own = [...needed.keys()].filter((digest) => !needed.get(digest)?.urls && !failed.has(digest))
  await noteSources(deps.upstream.repository, own, origin, signal)
  await stageForeign(
    deps.stage,
    foreign.filter((digest) => !failed.has(digest)),
    signal,
  )
  return counts
}

/** Adds foreign layers to the commit, which by itself leaves them where they are. */
async function stageForeign(stage: Stage, foreign: readonly Digest[], signal: AbortSignal): Promise<void> {
  for (const blobs of inBatches(foreign, sourcesAtOnce)) await stageContent(stage, { blobs }, signal)
}

async function fetchRest(
  deps: PolicyDeps,
  needed: ReadonlyMap<Digest, NeededBlob>,
  origin: Origin,
  signal: AbortSignal,
): Promise<BlobCounts> {
  if (origin.policy === 'immediate') return fetchBlobs(deps, allOf(needed), signal)
  const fetch = (isWanted: (digest: Digest) => boolean) =>
    fetchBlobs(deps, allOf(new Map([...needed].filter(([digest]) => isWanted(digest)))), signal)
  const staying = [...needed.values()].flatMap(({ digest, sizeBytes, isLayer, urls }) =>
    isLayer && !urls && sizeBytes !== undefined ? [{ digest, sizeBytes }] : [],
  )
  const stays = new Set(staying.map((blob) => blob.digest))
  const counts = await fetch((digest) => !stays.has(digest))
  const coming = new Set(await deferBlobs(deps, staying, signal))
  return coming.size === 0 ? counts : sum(counts, await fetch((digest) => coming.has(digest)))
}

function sum(one: BlobCounts, other: BlobCounts): BlobCounts {
  return {
    fetchedBytes: one.fetchedBytes + other.fetchedBytes,
    savedBytes: one.savedBytes + other.savedBytes,
    fetched: one.fetched + other.fetched,
  }
}

async function noteSources(
  repository: string,
  digests: readonly Digest[],
  { db, remoteId }: Origin,
  signal: AbortSignal,
): Promise<void> {
  for (const batch of inBatches(digests, sourcesAtOnce)) {
    signal.throwIfAborted()
    await recordSources(db, { remoteId, repository }, batch)
  }
}

/**
 * Notes that blobs stay at the remote. Answers those that have to come all the same: known to be at a remote, but of another size (one
 * of two upstreams lies, and a fetch with the wrong size fails: the bytes show which one is right), or to be proven by their bytes.
 */
async function deferBlobs(
  deps: PolicyDeps,
  staying: readonly { digest: Digest; sizeBytes: number }[],
  signal: AbortSignal,
): Promise<Digest[]> {
  const { store, stage, report } = deps
  const { blobs } = report.progress
  const coming: Digest[] = []
  for (const batch of inBatches(staying, leasesAtOnce)) {
    const leases = await leaseBlobs(
      store,
      batch.map((blob) => blob.digest),
      signal,
    )
    const absent = new Map(leases.flatMap((lease) => (lease.state === 'write' ? [[lease.digest, lease]] : [])))
    const unproven = await notShown(deps, batch, absent, signal)
    const deferred = batch.filter(({ digest }) => absent.has(digest) && !unproven.has(digest))
    const isDisputed = ({ digest, sizeBytes }: { digest: Digest; sizeBytes: number }) =>
      absent.has(digest) && (absent.get(digest)?.sizeBytes ?? sizeBytes) !== sizeBytes
    const come = batch.filter((blob) => isDisputed(blob) || unproven.has(blob.digest))
    coming.push(...come.map((blob) => blob.digest))
    await stageContent(stage, { deferred }, signal)
    const stayed = batch.length - come.length
    blobs.total = (blobs.total ?? 0) + stayed
    blobs.done += stayed
  }
  return coming
}

/** Those of a batch that Berth has, or knows of at another remote, and that this upstream has not shown to have. */
async function notShown(
  { upstream, store: { catalog } }: Pick<PolicyDeps, 'upstream' | 'store'>,
  batch: readonly { digest: Digest; sizeBytes: number }[],
  absent: ReadonlyMap<Digest, LeasedBlob>,
  signal: AbortSignal,
): Promise<ReadonlySet<Digest>> {
  const { proofs } = upstream
  const missing = [...absent.keys()]
  const states =
    missing.length > 0 ? (await catalog.call('list-blob-states', { digests: missing }, { signal })).blobs : []
  const away = states.flatMap(({ digest, state }) => (state === 'remote' ? [digest] : []))
  const proofOf = away.length > 0 ? await proofs.ofRemote(away, signal) : new Map<Digest, Proof>()
  const said = await proveByWord(
    upstream,
    batch.filter(({ digest }) => proofOf.get(digest) === 'word'),
    signal,
  )
  const here = batch.flatMap(({ digest }) => (absent.has(digest) ? [] : [digest]))
  const stored = here.length > 0 ? await proofs.ofStored(here, signal) : new Map<Digest, Proof>()
  return new Set([...stored.keys(), ...[...proofOf.keys()].filter((digest) => !said.has(digest))])
}
