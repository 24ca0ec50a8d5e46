import type { BlobStore } from '@berth/blobs'
import type { CommandClient, SyncCommands } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Database, Logger } from '@berth/service'
import type { RequireRights } from '../care-rights.ts'
import { heldByAny } from '../intervals/held.ts'
import { blobsHealed } from '../leases/healed.ts'
import { isKept } from '../leases/kept-links.ts'

/** What a reclaim freed, or would free. */
export type ReclaimResult = {
  dryRun: boolean
  /** Layers whose bytes went, and what they took. */
  reclaimed: number
  reclaimedBytes: number
  /** What no remote gives at the moment, and stays. */
  kept: number
  keptBytes: number
  /** The first thousand that went. */
  digests: Digest[]
}

export type Reclaiming = {
  db: Database
  blobs: BlobStore
  sync: CommandClient<SyncCommands>
  log: Logger
  /** Only what this repository has, and no other. */
  repositoryId: string | null
  /** Only what was not pulled for so long, nor came. */
  unusedSeconds: number
  dryRun: boolean
  signal: AbortSignal
  onProgress?: (result: ReclaimResult) => void
  /** Asked before what a page names is let go; what it throws ends the reclaim. */
  mayRemove: RequireRights
}

type Layer = { digest: Digest; generation: number; sizeBytes: number }

const pageRows = 200
const listed = 1_000
const askPatienceMs = 300_000

const held = `held.digest = blob.digest and ${heldByAny('held')}`
// Of signed manifests and configurations Berth itself reads the bytes; what is leased or only linked is being pushed.
const isLayerOnly = `exists (
    select
    from manifest_reference as named
    where named.child = blob.digest
      and named.role = 'layer'
      and named.place > 0)
  and not exists (
    select
    from manifest_reference as named
    where named.child = blob.digest
      and (named.role = 'config' or named.place = 0))
  and not exists (select from manifest where manifest.digest = blob.digest)
  and not exists (select from lease where lease.digest = blob.digest and lease.expires_at > now())
  and not exists (select from blob_link as link where link.digest = blob.digest and ${isKept('link')})`
// A pull is noted by tag and manifest, so a layer is as fresh as the freshest that has it.
const isUnused = `not exists (
  select
  from manifest_reference as named
  join manifest_interval as member on member.digest = named.manifest and ${heldByAny('member')}
  left join manifest_pull as pull on pull.repository_id = member.repository_id and pull.digest = member.digest
  where named.child = blob.digest
    and greatest(pull.pulled_at, member.opened_at) > now() - make_interval(secs => $3))`

/**
 * Lets go of the bytes of layers that a remote can give again; they come back when they are pulled. Only what a remote says
 * just now that it has. The bytes come back under another generation, so a late delete hits nothing that is read.
 */
export async function reclaim(reclaiming: Reclaiming): Promise<ReclaimResult> {
  const { sync, signal, dryRun } = reclaiming
  const result: ReclaimResult = { dryRun, reclaimed: 0, reclaimedBytes: 0, kept: 0, keptBytes: 0, digests: [] }
  for (let page = await layersAfter(reclaiming, ''); page.length > 0; ) {
    signal.throwIfAborted()
    const { digests } = await sync.call('check-still-there', { blobs: page }, { signal, timeoutMs: askPatienceMs })
    const there = new Set(digests)
    await reclaiming.mayRemove(signal)
    for (const layer of page) {
      if (there.has(layer.digest) && (dryRun || (await letGo(reclaiming, layer)))) {
        result.reclaimed++
        result.reclaimedBytes += layer.sizeBytes
        if (result.digests.length < listed) result.digests.push(layer.digest)
      } else {
        result.kept++
        result.keptBytes += layer.sizeBytes
      }
    }
    reclaiming.onProgress?.(result)
    page = page.length < pageRows ? [] : await layersAfter(reclaiming, page.at(-1)?.digest ?? '')
  }
  return result
}

async function layersAfter({ db, repositoryId, unusedSeconds }: Reclaiming, after: string): Promise<Layer[]> {
  return db.query<Layer>(
    `select digest, generation, size_bytes as "sizeBytes"
     from blob
     where state = 'present'
       and damage is null
       and digest > $1
       and ${isLayerOnly}
       and ${isUnused}
       and exists (select from blob_interval as held where ${held} and ($2::uuid is null or held.repository_id = $2))
       and ($2::uuid is null or not exists (select from blob_interval as held where ${held} and held.repository_id <> $2))
     order by digest
     limit ${pageRows}`,
    [after, repositoryId, unusedSeconds],
  )
}

/** In two steps, as the collector does: the row says first that the bytes are not here any more. */
async function letGo({ db, blobs, log }: Reclaiming, { digest, generation }: Layer): Promise<boolean> {
  const noted = await db.transaction(async (sql) => {
    const [row] = await sql.query(
      `select
       from blob
       where digest = $1
         and generation = $2
         and state = 'present'
         and damage is null
       for update`,
      [digest, generation],
    )
    if (!row) return false
    // Looked at with the row held: a client that is told that the bytes are here gets a lease under its lock.
    const [awaited] = await sql.query(
      `select
       from lease
       where digest = $1
         and expires_at > clock_timestamp()
       union all
       select
       from blob_link as link
       where digest = $1
         and ${isKept('link')}`,
      [digest],
    )
    if (awaited) return false
    // Registry hears of the new generation as it does of healed bytes; until then it finds nothing, and asks sync.
    sql.afterCommit(blobsHealed)
    await sql.query(
      `update blob
       set state = 'remote', generation = nextval('blob_generation'), damage = 'healed'
       where digest = $1`,
      [digest],
    )
    return true
  })
  if (!noted) return false
  try {
    await blobs.remove({ digest, generation })
  } catch (error) {
    log.warn('reclaimed bytes are left for the next listing of the store', { digest, generation, error })
  }
  return true
}
