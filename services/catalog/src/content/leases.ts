import type { LeasedBlob, StoredBlob } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { badField, type Database, type Sql } from '@berth/service'

const mostDigests = 500

/**
 * Leases digests for a holder, so that the collector keeps its hands off them, and says which bytes are there. Bytes that are
 * being removed, or never came, get the next generation of their key: a late delete can then only hit what nobody uses.
 */
export async function leaseBlobs(
  db: Database,
  request: { holder: string; digests: readonly Digest[]; ttlSeconds: number },
): Promise<LeasedBlob[]> {
  const digests = [...new Set(request.digests)].sort()
  if (digests.length > mostDigests) throw badField('digests', `takes ${mostDigests} at most`)
  if (digests.length === 0) return []
  return db.prepared<LeasedBlob>(
    'lease-blobs',
    'select digest, generation, state, size_bytes as "sizeBytes" from lease_blobs($1, $2, $3)',
    [digests, request.holder, request.ttlSeconds],
  )
}

/** Gives all leases of a holder this much time from now. */
export async function renewLeases(db: Database, holder: string, ttlSeconds: number): Promise<void> {
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
export async function releaseLeases(db: Database, holder: string): Promise<void> {
  await db.prepared('release-leases', 'delete from lease where holder = $1', [holder])
}

/** Notes that bytes are durable. A generation that is no longer the current one is refused: its writer must begin again. */
export async function recordBlobs(sql: Sql, blobs: readonly StoredBlob[]): Promise<void> {
  if (blobs.length === 0) return
  const sorted = [...blobs].sort((a, b) => (a.digest < b.digest ? -1 : 1))
  // The rows are there since the lease, so their own locks order this against the collector's mark.
  const recorded = await sql.prepared<{ digest: string }>(
    'record-blobs',
    `update blob set state = 'present', size_bytes = stored.size_bytes
     from unnest($1::text[], $2::integer[], $3::bigint[]) as stored (digest, generation, size_bytes)
     where blob.digest = stored.digest and blob.generation = stored.generation and blob.state in ('writing', 'present')
     returning blob.digest`,
    [sorted.map((blob) => blob.digest), sorted.map((blob) => blob.generation), sorted.map((blob) => blob.sizeBytes)],
  )
  if (recorded.length < new Set(sorted.map((blob) => blob.digest)).size) {
    const known = new Set(recorded.map((blob) => blob.digest))
    const missing = sorted.find((blob) => !known.has(blob.digest))
    throw badField(
      'blobs',
      `${missing?.digest} is not being written under generation ${missing?.generation}`,
      'Lease it again and write what the lease says.',
    )
  }
}
