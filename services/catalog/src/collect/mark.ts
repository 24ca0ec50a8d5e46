import type { Digest } from '@berth/oci'
import type { Database, Sql } from '@berth/service'
import { isNamed, isRooted, lookUpByIndex, roots } from './roots.ts'
import { type Forgotten, noteForgotten, tombstoneTables } from './tombstones.ts'

/** An object that will not be read or written any more. `written`: its bytes were there once, and did not only stay announced. */
export type Doomed = { digest: Digest; generation: number; written: boolean }

const batchRows = 200

/** The digests, after one, of what has been a candidate for at least the grace time. */
export async function dueCandidates(db: Database, graceSeconds: number, after: string): Promise<Digest[]> {
  const rows = await db.query<{ digest: Digest }>(
    `select digest
     from blob
     where candidate_since <= now() - make_interval(secs => $1)
       and digest > $2
     order by digest
     limit $3`,
    [graceSeconds, after, batchRows],
  )
  return rows.map((row) => row.digest)
}

/**
 * The first step of a removal, in one transaction: whatever is still needed by nothing is marked as `removing`, and its
 * manifest goes, with what the manifest names. Every transaction that begins to need a blob holds its row meanwhile: by a lease, a
 * link or `record-blobs` (they write it), by a commit (`for share`), by a foreign key. So with the rows held here, what is
 * looked up next is all there is, and transactions that come later see the mark. Rows that are held are left for the next run.
 */
export async function markBatch(db: Database, graceSeconds: number, digests: readonly Digest[]): Promise<Doomed[]> {
  return db.transaction(async (sql) => {
    await lookUpByIndex(sql)
    const held = await sql.query<{ digest: Digest }>(
      `select digest
       from blob
       where digest = any($1::text[])
         and state <> 'removing'
         and candidate_since <= now() - make_interval(secs => $2)
       order by digest
       for update skip locked`,
      [digests, graceSeconds],
    )
    const free = await withoutNeeds(
      sql,
      held.map((row) => row.digest),
    )
    if (free.length === 0) return []
    await deleteTombstones(sql, free)
    return markFree(sql, free)
  })
}

/** What is not needed. What is needed again is no candidate any more; what only another candidate names waits for that one. */
async function withoutNeeds(sql: Sql, digests: readonly Digest[]): Promise<Digest[]> {
  const rows = await sql.query<{ digest: Digest; needed: boolean; named: boolean }>(
    `select digest, ${isRooted} as needed, ${isNamed} as named from blob where digest = any($1::text[])`,
    [digests],
  )
  const needed = rows.filter((row) => row.needed).map((row) => row.digest)
  if (needed.length > 0)
    await sql.query('update blob set candidate_since = null where digest = any($1::text[])', [needed])
  return rows.filter((row) => !row.needed && !row.named).map((row) => row.digest)
}

async function deleteTombstones(sql: Sql, digests: readonly Digest[]): Promise<void> {
  const forgotten: Forgotten[] = []
  for (const { table, isTombstone } of tombstoneTables)
    forgotten.push(
      ...(await sql.query<Forgotten>(
        `delete from ${table} where digest = any($1::text[]) and ${isTombstone} returning repository_id as "repositoryId", revision`,
        [digests],
      )),
    )
  await noteForgotten(sql, forgotten)
  // A lease that is being renewed at this moment is waited for, and stays.
  await sql.query('delete from lease where digest = any($1::text[]) and expires_at <= clock_timestamp()', [digests])
}

const anyRow = [...tombstoneTables.map(({ table }) => table), 'lease']
  .map((table) => `exists (select from ${table} where ${table}.digest = blob.digest)`)
  .join(' or ')

/** Marks what now has no row left anywhere: a row that was opened again meanwhile is seen here. */
async function markFree(sql: Sql, digests: readonly Digest[]): Promise<Doomed[]> {
  const rows = await sql.query<{ digest: Digest }>(
    `select digest from blob where digest = any($1::text[]) and not (${anyRow} or ${roots.stage} or ${isNamed})`,
    [digests],
  )
  const free = rows.map((row) => row.digest)
  await sql.query('delete from manifest where digest = any($1::text[])', [free])
  return sql.query<Doomed>(
    `update blob
     set
       state = 'removing',
       marked_at = now(),
       candidate_since = null,
       damage = null,
       size_bytes = case state when 'remote' then null else size_bytes end
     where digest = any($1::text[])
     returning digest, generation, size_bytes is not null as written`,
    [free],
  )
}
