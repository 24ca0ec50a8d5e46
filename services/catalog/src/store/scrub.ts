import type { BlobStat, BlobStore } from '@berth/blobs'
import type { Digest } from '@berth/oci'
import type { Database, Logger } from '@berth/service'
import type { RequireRights } from '../care-rights.ts'
import { heldAt, heldByAny } from '../intervals/held.ts'
import { checkBytes } from './check-bytes.ts'
import { noteDamage, noteFound } from './damage.ts'
import { createThrottle, type Throttle } from './throttle.ts'

/** What a look at the stored bytes found. `unreadable`: the store failed, which says nothing about the bytes. */
export type ScrubResult = {
  checked: number
  checkedBytes: number
  missing: number
  rotten: number
  unreadable: number
  /** What had been missing and is there again. */
  found: number
  /** The first thousand that are damaged. */
  damaged: { digest: Digest; damage: 'missing' | 'rotten' }[]
}

export type Scrubbing = {
  db: Database
  blobs: BlobStore
  log: Logger
  /** What was looked at or came since is not looked at again, so that a scrub that begins anew goes on where it was. */
  since: Date
  /** Only what a repository has, in all its versions or in one. */
  scope?: { repositoryId: string; version?: number } | undefined
  /** Only what was missing at the last look: it may be there again. */
  isMissingOnly?: boolean
  bytesPerSecond?: number | undefined
  /** As how many bytes each one counts at least, for looking at it costs something too. */
  leastBytes?: number
  signal: AbortSignal
  onProgress?: (result: ScrubResult) => void
  /** Asked before each object; what it throws ends the scrub. */
  mayGoOn?: RequireRights
}

type Row = { digest: Digest; generation: number; sizeBytes: number; damage: 'missing' | 'healed' | null }

const pageRows = 100
const listed = 1_000

/** Whether `blob.digest` is in a scope, as SQL over two parameters: a repository or null, a version of it or null. */
export function isInScope(repository: string, version: string): string {
  const holds = (
    table: string,
  ) => `exists (select from ${table} as member where member.repository_id = ${repository} and member.digest = blob.digest
    and ${heldByAny('member')}
    and (${version}::integer is null or (${heldAt('member', version)})))`
  return `(${repository}::uuid is null or ${holds('blob_interval')} or ${holds('manifest_interval')})`
}

/** Hashes stored bytes again, at a gentle pace, and notes what is damaged (docs/guarantees.md, F23). */
export async function scrub(scrubbing: Scrubbing): Promise<ScrubResult> {
  const result: ScrubResult = {
    checked: 0,
    checkedBytes: 0,
    missing: 0,
    rotten: 0,
    unreadable: 0,
    found: 0,
    damaged: [],
  }
  const { bytesPerSecond, signal, leastBytes = 0 } = scrubbing
  const pace = bytesPerSecond === undefined ? undefined : createThrottle(bytesPerSecond, signal)
  for (let rows = await nextRows(scrubbing, ''); rows.length > 0; ) {
    for (const row of rows) {
      signal.throwIfAborted()
      await scrubbing.mayGoOn?.(signal)
      const checkedBytes = result.checkedBytes
      await checkOne(scrubbing, row, result, pace)
      scrubbing.onProgress?.(result)
      // What is missing takes its time as well: a disk that is not mounted shall not have lost everything within a minute.
      await pace?.(Math.max(0, Math.max(row.sizeBytes, leastBytes) - (result.checkedBytes - checkedBytes)))
    }
    const last = rows.at(-1)?.digest ?? ''
    rows = rows.length < pageRows ? [] : await nextRows(scrubbing, last)
  }
  return result
}

async function nextRows({ db, since, scope, isMissingOnly = false }: Scrubbing, after: string): Promise<Row[]> {
  return db.query<Row>(
    `select digest, generation, size_bytes as "sizeBytes", damage
     from blob
     where digest > $1
       and (state = 'present' or (state = 'writing' and damage = 'missing'))
       and coalesce(checked_at, created_at) < $2
       ${isMissingOnly ? "and damage = 'missing'" : ''}
       and ${isInScope('$3', '$4')}
     order by digest
     limit ${pageRows}`,
    [after, since, scope?.repositoryId ?? null, scope?.version ?? null],
  )
}

async function checkOne(
  scrubbing: Scrubbing,
  row: Row,
  result: ScrubResult,
  pace: Throttle | undefined,
): Promise<void> {
  const { db, blobs, log, signal } = scrubbing
  const { digest, generation, sizeBytes } = row
  try {
    const verdict = await checkBytes(blobs, { digest, generation }, sizeBytes, signal, pace)
    result.checked++
    result.checkedBytes += verdict.stat?.sizeBytes ?? 0
    // What was healed, and registry has yet to hear of it, is like anything else that is here.
    if (verdict.found !== 'sound') await tellDamage(scrubbing, row, { ...verdict, found: verdict.found }, result)
    else if (row.damage === 'missing') {
      result.found++
      await noteFound(db, row)
    }
    // Last: killed before this, it is looked at again.
    await db.query('update blob set checked_at = now() where digest = $1 and generation = $2', [digest, generation])
  } catch (error) {
    signal.throwIfAborted()
    result.unreadable++
    log.warn('stored bytes cannot be read', { digest, error })
  }
}

async function tellDamage(
  { db, blobs, log }: Scrubbing,
  row: Row,
  verdict: { found: 'missing' | 'rotten'; stat: BlobStat | undefined },
  result: ScrubResult,
): Promise<void> {
  const { digest } = row
  const isNew = row.damage !== 'missing'
  if (isNew && !(await noteDamage(db, blobs, row, verdict))) return
  result[verdict.found]++
  if (result.damaged.length < listed) result.damaged.push({ digest, damage: verdict.found })
  if (isNew) log.error('stored bytes are damaged', { digest, damage: verdict.found })
}
