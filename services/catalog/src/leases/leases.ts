import type { LeasedBlob, StoredBlob } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { badField, type Database, Problem, type Sql } from '@berth/service'

const mostDigests = 500

/**
 * Leases digests for a holder, so that the collector keeps its hands off them, and says which bytes are there. Bytes that are
 * being removed, or never came, get the next generation of their key: a late delete can then only hit what is not used.
 */
export async function leaseBlobs(
  db: Database,
  request: { holder: string; digests: readonly Digest[]; ttlSeconds: number },
): Promise<LeasedBlob[]> {
  const digests = [...new Set(request.digests)].sort()
  if (digests.length > mostDigests) throw badField('digests', `takes ${mostDigests} at most`)
  if (digests.length === 0) return []
  const lease = (sql: Pick<Database, 'prepared'>) =>
    sql.prepared<LeasedBlob>(
      'lease-blobs',
      'select digest, generation, state, size_bytes as "sizeBytes", is_new as "isNew", is_alone as "isAlone" from lease_digests($1, $2, $3)',
      [digests, request.holder, request.ttlSeconds],
    )
  // Several rows can be locked in a circle with a transaction that does not sort; then it is tried again.
  return digests.length === 1 ? lease(db) : db.transaction(lease)
}

/**
 * Leases a blob for the pushes to a repository that has it, so that they may name it in a manifest even when the repository
 * loses it meanwhile. `null` when the repository does not have it.
 */
export async function keepBlob(
  db: Database,
  request: { repository: string; repositoryId?: string; holder: string; digest: Digest; ttlSeconds: number },
): Promise<StoredBlob | null> {
  const { repository, repositoryId = null, holder, digest, ttlSeconds } = request
  const [kept] = await db.prepared<StoredBlob>(
    'keep-blob',
    `select $2::text as digest, generation, size_bytes as "sizeBytes"
     from keep_for_push(coalesce($5::uuid, (select id from repository where name = $1)), $2, $3, $4)`,
    [repository, digest, holder, ttlSeconds, repositoryId],
  )
  return kept ?? null
}

// Not flushed: when PostgreSQL loses it in a crash, the link of the blob, which comes later, finds that and is refused.
const leaseOfPresent = `
  with present as (
    select generation, size_bytes, candidate_since
    from blob
    where digest = $1
      and state = 'present'
    for no key update
  ), leased as (
    insert into lease (digest, holder, expires_at)
    select $1, $2, now() + make_interval(secs => $3)
    from present
    on conflict (digest, holder) do update set expires_at = greatest(lease.expires_at, excluded.expires_at)
  ), spared as (
    update blob
    set candidate_since = null
    from present
    where digest = $1
      and present.candidate_since is not null
  )
  select $1::text as digest, generation::bigint as generation, size_bytes as "sizeBytes",
    set_config('synchronous_commit', 'off', true) as "notFlushed"
  from present`

/**
 * Leases a blob that is here, in whatever repository: its bytes stay for so long. The lease gives no right to name it. `null` when it is not here,
 * and then nothing is leased.
 */
export async function leasePresent(
  db: Database,
  { digest, holder, ttlSeconds }: { digest: Digest; holder: string; ttlSeconds: number },
): Promise<StoredBlob | null> {
  const [leased] = await db.prepared<StoredBlob>('lease-present', leaseOfPresent, [digest, holder, ttlSeconds])
  return leased ? { digest, generation: leased.generation, sizeBytes: leased.sizeBytes } : null
}

/** Gives all leases of a holder this much time from now. */
export async function renewLeases(db: Sql, holder: string, ttlSeconds: number): Promise<void> {
  await db.query('update lease set expires_at = now() + make_interval(secs => $2) where holder = $1', [
    holder,
    ttlSeconds,
  ])
}

/** Forgets leases whose time is over. */
export async function pruneLeases(sql: Sql): Promise<void> {
  await sql.query('delete from lease where expires_at < now()')
}

/** Ends all leases of a holder. */
export async function releaseLeases(db: Sql, holder: string): Promise<void> {
  await db.prepared('release-leases', 'delete from lease where holder = $1', [holder])
}

/**
 * Notes that leased bytes are durable. Where a push brought the blob meanwhile it is here under another generation, and that is all
 * its writer wanted. A generation that is neither is refused (503 `stale_lease`): its writer must begin again.
 */
export async function recordBlobs(sql: Sql, blobs: readonly StoredBlob[]): Promise<void> {
  if (blobs.length === 0) return
  const sorted = [...blobs].sort((a, b) => (a.digest < b.digest ? -1 : 1))
  // The rows are there since the lease, so their own locks order this against the collector's mark.
  const recorded = await sql.prepared<{ digest: string }>(
    'record-blobs',
    `update blob
     set state = 'present',
       size_bytes = case when blob.generation = stored.generation then stored.size_bytes else blob.size_bytes end
     from unnest($1::text[], $2::bigint[], $3::bigint[]) as stored (digest, generation, size_bytes)
     where blob.digest = stored.digest
       and (blob.state = 'present' or (blob.generation = stored.generation and blob.state in ('writing', 'remote')))
     returning blob.digest`,
    [sorted.map((blob) => blob.digest), sorted.map((blob) => blob.generation), sorted.map((blob) => blob.sizeBytes)],
  )
  if (recorded.length < new Set(sorted.map((blob) => blob.digest)).size) {
    const known = new Set(recorded.map((blob) => blob.digest))
    const missing = sorted.find((blob) => !known.has(blob.digest))
    throw new Problem(
      503,
      'stale_lease',
      `The lease of ${missing?.digest} was lost: generation ${missing?.generation} is not being written any more.`,
      { hint: 'Lease it again and write what the lease says.', headers: { 'retry-after': '0' } },
    )
  }
}
