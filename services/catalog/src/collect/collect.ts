import type { BlobStore } from '@berth/blobs'
import type { Database } from '@berth/service'
import type { RequireRights } from '../care-rights.ts'
import { pruneLeases } from '../leases/leases.ts'
import { expireLinks } from './expire-links.ts'
import { findCandidates } from './find-candidates.ts'
import { dueCandidates, markBatch } from './mark.ts'
import { type Removal, removeMarked, takeLeftMarks } from './remove.ts'
import { isNamed, isRootedWithoutLease } from './roots.ts'
import { sweepOrphans } from './sweep-orphans.ts'
import { sweepRecords, sweepTombstones } from './sweep-tombstones.ts'

/** What a run did. `removedBytes`: of objects that were there and, looked for again, are gone; `notFound` were not there. */
export type CollectResult = {
  seen: number
  unlinked: number
  marked: number
  removed: number
  removedBytes: number
  notFound: number
  orphans: number
  orphanBytes: number
  traces: number
  failed: number
  /** What nothing but a lease keeps: of pushes, syncs and imports under way or given up. It may go after `until`. */
  leased: { objects: number; bytes: number; until: string | null }
}

// Nobody uses a number of a generation for longer than a day (the life of an upload session). An hour for clocks and slow answers.
const writersHours = 25

/** The places between the steps of a run at which it may be killed: tests stop it there. */
type Passing = (place: 'unlinked' | 'judged' | 'marked' | 'removed') => Promise<void>

export type Collecting = {
  db: Database
  blobs: BlobStore
  /** How long nothing must have needed something before it goes. */
  graceSeconds: number
  /** Also list the store for objects that no row knows, and delete old tombstones. */
  thorough: boolean
  /** How long an object that no row names is kept after it was written; a day and an hour unless set, which tests do. */
  orphanSeconds?: number
  signal: AbortSignal
  /** Told of what could not be done now. The run goes on. */
  onFailure: (error: unknown) => void
  onProgress?: (result: CollectResult) => void
  /** Asked before each batch that is taken away; what it throws ends the run. */
  mayRemove?: RequireRights | undefined
  passing?: Passing
}

/**
 * One run of the collector, online: no other transaction waits for more than one batch. It may be killed anywhere, and
 * run beside another one (docs/flows/collect.md tells why nothing that is needed can go).
 */
export async function collect(collecting: Collecting): Promise<CollectResult> {
  const { db, graceSeconds, signal, passing = async () => undefined } = collecting
  const result = emptyResult()
  await pruneLeases(db)
  result.unlinked = await expireLinks(db, graceSeconds, signal)
  await passing('unlinked')
  result.seen = await findCandidates(db, signal)
  await passing('judged')
  await collecting.mayRemove?.(signal)
  await removeLeft(collecting, result)
  await removeDue(collecting, result, passing)
  if (collecting.thorough) await sweep(collecting, result)
  result.leased = await keptByLeases(db)
  return result
}

function emptyResult(): CollectResult {
  return {
    seen: 0,
    unlinked: 0,
    marked: 0,
    removed: 0,
    removedBytes: 0,
    notFound: 0,
    orphans: 0,
    orphanBytes: 0,
    traces: 0,
    failed: 0,
    leased: { objects: 0, bytes: 0, until: null },
  }
}

/** What would be free but for leases, and when the last of them ends. */
async function keptByLeases(db: Database): Promise<CollectResult['leased']> {
  const [row] = await db.query<CollectResult['leased']>(
    `select count(*) as objects, coalesce(sum(size_bytes), 0)::bigint as bytes,
       to_char(max(expires_at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as until
     from (
       select digest, max(expires_at) as expires_at
       from lease
       where expires_at > clock_timestamp()
       group by digest) as leased
     join blob using (digest)
     where blob.state = 'present' and not ${isRootedWithoutLease} and not ${isNamed}`,
  )
  return row ?? { objects: 0, bytes: 0, until: null }
}

function count(collecting: Collecting, result: CollectResult, removal: Removal): void {
  result.removed += removal.removed
  result.removedBytes += removal.removedBytes
  result.notFound += removal.notFound
  result.failed += removal.failures.length
  for (const failure of removal.failures) collecting.onFailure(failure)
  collecting.onProgress?.(result)
}

async function removeLeft(collecting: Collecting, result: CollectResult): Promise<void> {
  const { db, blobs, signal } = collecting
  for (let left = await takeLeftMarks(db); left.length > 0; left = await takeLeftMarks(db)) {
    signal.throwIfAborted()
    count(collecting, result, await removeMarked(db, blobs, left))
  }
}

/**
 * Removes what is due. What a manifest names becomes free with it, wherever it stands in the order: so the list is gone through
 * until a round frees nothing more.
 */
async function removeDue(collecting: Collecting, result: CollectResult, passing: Passing): Promise<void> {
  const { db, blobs, graceSeconds, signal } = collecting
  for (let before = -1; result.marked > before; ) {
    before = result.marked
    let digests = await dueCandidates(db, graceSeconds, '')
    for (; digests.length > 0; digests = await dueCandidates(db, graceSeconds, digests.at(-1) ?? '')) {
      signal.throwIfAborted()
      await collecting.mayRemove?.(signal)
      const doomed = await attempt(collecting, result, markBatch(db, graceSeconds, digests))
      if (!doomed) continue
      result.marked += doomed.length
      await passing('marked')
      const removal = await attempt(collecting, result, removeMarked(db, blobs, doomed))
      if (removal) count(collecting, result, removal)
      await passing('removed')
    }
  }
}

/** A batch that fails is told of and left for the next run; the others go on (docs/guarantees.md, G11). */
async function attempt<T>(collecting: Collecting, result: CollectResult, work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    result.failed++
    collecting.onFailure(error)
    return undefined
  }
}

async function sweep(collecting: Collecting, result: CollectResult): Promise<void> {
  const { db, blobs, graceSeconds, signal, orphanSeconds = writersHours * 3_600 } = collecting
  const onRemoved = (removal: Removal) => {
    result.orphans += removal.removed
    result.orphanBytes += removal.removedBytes
    count(collecting, result, { ...removal, removed: 0, removedBytes: 0 })
  }
  await collecting.mayRemove?.(signal)
  await sweepOrphans(db, blobs, Math.max(graceSeconds, orphanSeconds), { signal, onRemoved })
  result.traces = await sweepTombstones(db, signal)
  await sweepRecords(db)
}
