import type { CommandClient, SyncCommands } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Database, Logger } from '@berth/service'
import { blobsHealed } from '../leases/healed.ts'
import { leaseBlobs, recordBlobs } from '../leases/leases.ts'

export type EnsureDeps = { db: Database; sync: CommandClient<SyncCommands>; log: Logger }
export type WantedBlob = { digest: Digest; sizeBytes: number; isManifest: boolean }
export type StoredBytes = { digest: Digest; generation: number; sizeBytes: number }
export type Ensured = {
  stored: StoredBytes[]
  /** What is neither here nor to be had. */
  missing: Digest[]
  fetched: number
  fetchedBytes: number
}

type Owner = { holder: string; repositoryId: string; ttlSeconds: number }

const fetchesAtOnce = 4
const fetchPatienceMs = 1_800_000

/**
 * Leases some hundred blobs of a repository for a holder, and has sync fetch those first whose bytes are at a remote only, or were lost. What
 * cannot be had is told, and is no error.
 */
export async function ensureStored(
  deps: EnsureDeps,
  owner: Owner,
  wanted: readonly WantedBlob[],
  signal: AbortSignal,
): Promise<Ensured> {
  const { holder, ttlSeconds } = owner
  const leased = await leaseBlobs(deps.db, { holder, digests: wanted.map(({ digest }) => digest), ttlSeconds })
  const byDigest = new Map(leased.map((lease) => [lease.digest, lease]))
  const ensured: Ensured = { stored: [], missing: [], fetched: 0, fetchedBytes: 0 }
  const absent: (WantedBlob & { generation: number })[] = []
  for (const one of wanted) {
    const lease = byDigest.get(one.digest)
    if (!lease) throw new Error(`${one.digest} was leased, and is not among the answers`)
    const { generation } = lease
    if (lease.state === 'present')
      ensured.stored.push({ digest: one.digest, generation, sizeBytes: lease.sizeBytes ?? one.sizeBytes })
    else absent.push({ ...one, generation })
  }
  const work = async () => {
    for (let one = absent.shift(); one; one = absent.shift()) {
      if (!(await fetch(deps, owner, one, signal))) {
        ensured.missing.push(one.digest)
        continue
      }
      ensured.stored.push({ digest: one.digest, generation: one.generation, sizeBytes: one.sizeBytes })
      ensured.fetched++
      ensured.fetchedBytes += one.sizeBytes
    }
  }
  await Promise.all(Array.from({ length: fetchesAtOnce }, work))
  return ensured
}

/** Whether sync could give one blob. Rejects for the signal alone: what cannot be had is told with all the others. */
async function fetch(
  { db, sync, log }: EnsureDeps,
  { repositoryId }: Owner,
  { digest, generation, sizeBytes, isManifest }: WantedBlob & { generation: number },
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
    log.warn('what is not here cannot be fetched', { digest, error })
    return false
  }
}
