import type { Database, Sql } from '@berth/service'

const pageRows = 500

// Without a lease no push may still name the blob, and no client was told that it is there. Where a manifest of
// the repository names it the link adds nothing, and stays; it is looked at again when the manifest is gone.
const isExpired = `link.linked and link.linked_at <= now() - make_interval(secs => $1)
  and not exists (
    select
    from blob_interval as member
    where member.repository_id = link.repository_id
      and member.digest = link.digest
      and member.until is null)
  and not exists (select from lease where lease.digest = link.digest and lease.expires_at > clock_timestamp())`

type Key = { repositoryId: string; digest: string }
export type Unlinked = { repositoryId: string; revision: number; links: number }

/**
 * Takes away links that no manifest came for within the grace time, as a change that registry follows. `onUnlinked` is told of
 * each repository; a repository that is busy is left for the next run.
 */
export async function expireLinks(
  db: Database,
  graceSeconds: number,
  onUnlinked: (unlinked: Unlinked) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  let after: Key = { repositoryId: '00000000-0000-0000-0000-000000000000', digest: '' }
  for (;;) {
    signal.throwIfAborted()
    const page = await db.query<Key>(
      `select repository_id as "repositoryId", digest
       from blob_link as link
       where ${isExpired}
         and (repository_id, digest) > ($2, $3)
       order by repository_id, digest
       limit $4`,
      [graceSeconds, after.repositoryId, after.digest, pageRows],
    )
    for (const [repositoryId, links] of Map.groupBy(page, (key) => key.repositoryId)) {
      const digests = links.map((link) => link.digest)
      const unlinked = await db.transaction((sql) => unlink(sql, graceSeconds, repositoryId, digests))
      if (unlinked) await onUnlinked(unlinked)
    }
    const last = page.at(-1)
    if (!last || page.length < pageRows) return
    after = last
  }
}

async function unlink(
  sql: Sql,
  graceSeconds: number,
  repositoryId: string,
  digests: readonly string[],
): Promise<Unlinked | undefined> {
  // The repository before its blobs, as every push does it.
  const [repository] = await sql.query<{ revision: number }>(
    `select revision
     from repository
     where id = $1
     for update skip locked`,
    [repositoryId],
  )
  if (!repository) return undefined
  // A client that asked a moment ago whether a blob is there got a lease under a lock of its row, so leases are read only now.
  const held = await sql.query<{ digest: string }>(
    `select digest
     from blob
     where digest = any($1::text[])
     order by digest
     for no key update skip locked`,
    [digests],
  )
  const revision = repository.revision + 1
  const gone = await sql.query(
    `update blob_link as link
     set linked = false, revision = $4
     where link.repository_id = $2
       and link.digest = any($3::text[])
       and ${isExpired}
     returning link.digest`,
    [graceSeconds, repositoryId, held.map((row) => row.digest), revision],
  )
  if (gone.length === 0) return undefined
  await sql.query('update repository set revision = $2 where id = $1', [repositoryId, revision])
  return { repositoryId, revision, links: gone.length }
}
