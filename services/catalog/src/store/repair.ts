import type { CommandClient, SyncCommands } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { heldByAny } from '../intervals/held.ts'
import { blobsHealed } from '../leases/healed.ts'
import { leaseBlobs, recordBlobs, releaseLeases } from '../leases/leases.ts'
import { isInScope, type Scrubbing, type ScrubResult, scrub } from './scrub.ts'

/** What a repair found and brought back. */
export type RepairResult = ScrubResult & {
  /** From which remote each came. The first thousand. */
  restored: { digest: Digest; remote: string }[]
  /** What no remote of its repositories could give: push or sync it again. The first thousand. */
  lost: { digest: Digest; damage: string; repositories: string[] }[]
}

type Damaged = {
  digest: Digest
  damage: string
  sizeBytes: number
  isManifest: boolean
  ids: string[]
  names: string[]
}

const listed = 1_000
const leaseSeconds = 3_600
const fetchPatienceMs = 1_800_000

/** Hashes everything in scope again, and asks sync for what is damaged. What it cannot give is reported. */
export async function repair(
  scrubbing: Scrubbing & { sync: CommandClient<SyncCommands>; holder: string },
): Promise<RepairResult> {
  const result: RepairResult = { ...(await scrub(scrubbing)), restored: [], lost: [] }
  try {
    for (let page = await damagedAfter(scrubbing, ''); page.length > 0; ) {
      for (const one of page) {
        await scrubbing.mayGoOn?.(scrubbing.signal)
        await restore(scrubbing, one, result)
      }
      page = await damagedAfter(scrubbing, page.at(-1)?.digest ?? '')
    }
    return result
  } finally {
    await releaseLeases(scrubbing.db, scrubbing.holder)
  }
}

async function damagedAfter({ db, scope }: Scrubbing, after: string): Promise<Damaged[]> {
  return db.query<Damaged>(
    `select digest, damage, size_bytes as "sizeBytes",
       exists (select from manifest where manifest.digest = blob.digest) as "isManifest",
       array(select id from (${holders}) as holder) as ids, array(select name from (${holders}) as holder order by name) as names
     from blob
     where digest > $1
       and damage in ('missing', 'rotten')
       and ${isInScope('$2', '$3')}
     order by digest
     limit 100`,
    [after, scope?.repositoryId ?? null, scope?.version ?? null],
  )
}

const holders = ['blob_interval', 'manifest_interval']
  .map(
    (table) => `
      select repository.id, repository.name
      from ${table} as held
      join repository on repository.id = held.repository_id
      where held.digest = blob.digest
        and ${heldByAny('held')}`,
  )
  .join(' union ')

async function restore(
  { db, sync, holder, signal, log }: Scrubbing & { sync: CommandClient<SyncCommands>; holder: string },
  { digest, damage, sizeBytes, isManifest, ids, names }: Damaged,
  result: RepairResult,
): Promise<void> {
  signal.throwIfAborted()
  const [lease] = await leaseBlobs(db, { holder, digests: [digest], ttlSeconds: leaseSeconds })
  // It was pushed meanwhile.
  if (lease?.state !== 'write') return
  const blob = { digest, generation: lease.generation, sizeBytes }
  const options = { signal, timeoutMs: fetchPatienceMs }
  const remote = await sync
    .call('fetch-again', { repositoryIds: ids, blob: { ...blob, isManifest } }, options)
    .then((reply) => reply.remote)
    .catch((error: unknown) => {
      signal.throwIfAborted()
      log.warn('sync cannot be asked for what was lost', { digest, error })
      return null
    })
  if (remote === null) {
    if (result.lost.length < listed) result.lost.push({ digest, damage, repositories: names })
    return
  }
  await db.transaction(async (sql) => {
    await recordBlobs(sql, [blob])
    sql.afterCommit(blobsHealed)
  })
  if (result.restored.length < listed) result.restored.push({ digest, remote })
}
