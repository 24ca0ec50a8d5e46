import type { Database, Sql } from '@berth/service'
import { isKept } from '../leases/kept-links.ts'

const pageRows = 500

// No push may still name the blob, and no client was told that it is there. Where a manifest of the repository names it the link adds
// nothing, and stays; it is looked at again when the manifest is gone.
const isExpired = `link.linked and link.linked_at <= now() - make_interval(secs => $1) and not ${isKept('link')}
  and not exists (
    select
    from blob_interval as member
    where member.repository_id = link.repository_id
      and member.digest = link.digest
      and member.until is null)
  and not exists (select from lease where lease.digest = link.digest and lease.expires_at > clock_timestamp())`

type Key = { repositoryId: string; digest: string }

/** Takes away links that no manifest came for within the grace time. Answers how many; one that is in use just now is left. */
export async function expireLinks(db: Database, graceSeconds: number, signal: AbortSignal): Promise<number> {
  let unlinked = 0
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
    unlinked += await db.transaction((sql) => unlink(sql, graceSeconds, page))
    const last = page.at(-1)
    if (!last || page.length < pageRows) return unlinked
    after = last
  }
}

async function unlink(sql: Sql, graceSeconds: number, links: readonly Key[]): Promise<number> {
  if (links.length === 0) return 0
  // A client that asked a moment ago whether a blob is there got a lease under a lock of its row, and a push its link: so both are
  // read only now. One whose row is held is in use.
  const held = await sql.query<{ digest: string }>(
    `select digest
     from blob
     where digest = any($1::text[])
     order by digest
     for no key update skip locked`,
    [[...new Set(links.map((link) => link.digest))]],
  )
  const gone = await sql.query(
    `update blob_link as link
     set linked = false
     from unnest($2::uuid[], $3::text[]) as expired (repository_id, digest)
     where link.repository_id = expired.repository_id
       and link.digest = expired.digest
       and link.digest = any($4::text[])
       and ${isExpired}
     returning link.digest`,
    [
      graceSeconds,
      links.map((link) => link.repositoryId),
      links.map((link) => link.digest),
      held.map((row) => row.digest),
    ],
  )
  return gone.length
}
