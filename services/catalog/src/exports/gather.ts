import type { BlobStore } from '@berth/blobs'
import type { CommandClient, SyncCommands } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Database, Logger } from '@berth/service'
import { blobName } from '../archives/member-names.ts'
import { blobsHealed } from '../leases/healed.ts'
import { leaseBlobs, recordBlobs } from '../leases/leases.ts'
import { blobLines, manifestLines } from './contents.ts'
import { holderOf, type Selected } from './export-row.ts'
import { exportFault, named } from './fault.ts'

export type GatherDeps = {
  db: Database
  blobs: BlobStore
  sync: CommandClient<SyncCommands>
  log: Logger
}

export type Gathered = { carried: number; fetched: number; fetchedBytes: number }
type Wanted = { digest: Digest; sizeBytes: number; isManifest: boolean }
type Stored = { digest: Digest; generation: number; sizeBytes: number }

/** Leases last as long as a download is kept, and an hour more: whoever began to read at the last moment comes to an end. */
export const leaseSeconds = 25 * 3_600

const fetchesAtOnce = 4
const fetchPatienceMs = 1_800_000

/**
 * Leases all that an export carries, and notes it as its members. Layers that are at a remote only, or were lost, are fetched first.
 * Throws when some of them cannot be had, and names them.
 */
export async function gather(
  deps: GatherDeps,
  exportId: string,
  repositories: readonly Selected[],
  { signal, seen }: { signal: AbortSignal; seen: Gathered },
): Promise<void> {
  const missing: string[] = []
  for (const repository of repositories)
    for await (const page of carriedPages(deps.db, repository)) {
      signal.throwIfAborted()
      missing.push(...(await gatherPage(deps, { exportId, repositoryId: repository.id }, page, { signal, seen })))
    }
  if (missing.length === 0) return
  throw exportFault(
    'content_missing',
    `These bytes are not here, and no remote gives them: ${named(missing)}.`,
    'POST /store/repair says what is lost; push or sync it again, or export without the repositories that have it.',
  )
}

async function* carriedPages(db: Database, repository: Selected): AsyncGenerator<Wanted[]> {
  for await (const page of manifestLines(db, repository))
    yield page
      .filter(({ held }) => !held)
      .map(({ manifest, size }) => ({ digest: manifest, sizeBytes: size, isManifest: true }))
  for await (const page of blobLines(db, repository))
    yield page
      .filter(({ held, foreign }) => !held && !foreign)
      .map(({ blob, size }) => ({ digest: blob, sizeBytes: size, isManifest: false }))
}

/** Answers what cannot be had. */
async function gatherPage(
  deps: GatherDeps,
  { exportId, repositoryId }: { exportId: string; repositoryId: string },
  page: readonly Wanted[],
  { signal, seen }: { signal: AbortSignal; seen: Gathered },
): Promise<Digest[]> {
  const { db } = deps
  const digests = page.map(({ digest }) => digest)
  const leased = await leaseBlobs(db, { holder: holderOf(exportId), digests, ttlSeconds: leaseSeconds })
  const byDigest = new Map(leased.map((lease) => [lease.digest, lease]))
  const stored: Stored[] = []
  const absent: (Wanted & { generation: number })[] = []
  for (const wanted of page) {
    const lease = byDigest.get(wanted.digest)
    if (!lease) throw new Error(`${wanted.digest} was leased, and is not among the answers`)
    if (lease.state === 'present')
      stored.push({ digest: wanted.digest, generation: lease.generation, sizeBytes: lease.sizeBytes ?? 0 })
    else absent.push({ ...wanted, generation: lease.generation })
  }
  const missing: Digest[] = []
  for (let at = 0; at < absent.length; at += fetchesAtOnce) {
    const few = absent.slice(at, at + fetchesAtOnce)
    const came = await Promise.all(few.map((one) => fetch(deps, repositoryId, one, signal)))
    for (const [i, one] of few.entries()) {
      if (!came[i]) {
        missing.push(one.digest)
        continue
      }
      stored.push({ digest: one.digest, generation: one.generation, sizeBytes: one.sizeBytes })
      seen.fetched++
      seen.fetchedBytes += one.sizeBytes
    }
  }
  seen.carried += await noteMembers(db, exportId, stored)
  return missing
}

async function noteMembers(db: Database, exportId: string, stored: readonly Stored[]): Promise<number> {
  const added = await db.query(
    `insert into export_member (export_id, name, digest, generation, size_bytes)
     select $1, member.*
     from unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[]) as member
     on conflict do nothing
     returning name`,
    [
      exportId,
      stored.map(({ digest }) => blobName(digest)),
      stored.map(({ digest }) => digest),
      stored.map(({ generation }) => generation),
      stored.map(({ sizeBytes }) => sizeBytes),
    ],
  )
  return added.length
}

/** Has sync fetch one blob. Never rejects but for the signal: what cannot be had is told with all the others. */
async function fetch(
  { db, sync, log }: GatherDeps,
  repositoryId: string,
  { digest, generation, sizeBytes, isManifest }: Wanted & { generation: number },
  signal: AbortSignal,
): Promise<boolean> {
  const blob = { digest, generation, sizeBytes }
  try {
    const request = { repositoryIds: [repositoryId], blob: { ...blob, isManifest } }
    const { remote } = await sync.call('fetch-again', request, { signal, timeoutMs: fetchPatienceMs })
    if (remote === null) return false
    await db.transaction(async (sql) => {
      await recordBlobs(sql, [blob])
      sql.afterCommit(blobsHealed)
    })
    return true
  } catch (error) {
    signal.throwIfAborted()
    log.warn('what an export lacks cannot be fetched', { digest, error })
    return false
  }
}
