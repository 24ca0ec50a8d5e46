import type { Sql } from '@berth/service'

/** Tables whose rows followers hear of by revision, and when such a row says only that something is over. */
export const tombstoneTables = [
  { table: 'tag_interval', key: 'name', isTombstone: 'until <= since' },
  { table: 'manifest_interval', key: 'digest', isTombstone: 'until <= since' },
  { table: 'blob_interval', key: 'digest', isTombstone: 'until <= since' },
  { table: 'signature_interval', key: 'name', isTombstone: 'until <= since' },
  { table: 'blob_link', key: 'digest', isTombstone: 'not linked' },
] as const

export type Forgotten = { repositoryId: string; revision: number }

/**
 * Notes up to which revision tombstones of repositories are gone. A follower that has not come so far hears all of the repository
 * anew, so no tombstone has to be kept for its sake (docs/decisions/0012).
 */
export async function noteForgotten(sql: Sql, forgotten: readonly Forgotten[]): Promise<void> {
  const told = forgotten.filter(({ revision }) => revision > 0)
  if (told.length === 0) return
  const highest = new Map<string, number>()
  for (const { repositoryId, revision } of told)
    highest.set(repositoryId, Math.max(revision, highest.get(repositoryId) ?? 0))
  // Sorted, so that two collectors never wait for each other in a circle.
  const sorted = [...highest].sort(([a], [b]) => (a < b ? -1 : 1))
  await sql.query(
    `insert into forgotten_trace (repository_id, revision)
     select *
     from unnest($1::uuid[], $2::bigint[])
     on conflict (repository_id) do update set revision = greatest(forgotten_trace.revision, excluded.revision)`,
    [sorted.map(([id]) => id), sorted.map(([, revision]) => revision)],
  )
}
