import type { Digest } from '@berth/oci'
import type { Database } from '@berth/service'

/** Where a blob can be fetched. `isKept`: what comes from there is stored. */
export type Source = { remoteId: string; remote: string; repository: string; isKept: boolean }

const setAsideSeconds = 600
const mostSources = 10

/** Notes that these blobs were seen in a repository of a remote. */
export async function recordSources(
  db: Database,
  { remoteId, repository }: { remoteId: string; repository: string },
  digests: readonly Digest[],
): Promise<void> {
  if (digests.length === 0) return
  await db.query(
    `insert into content_source (digest, remote_id, upstream_repository) select unnest($1::text[]), $2, $3
     on conflict (digest, remote_id, upstream_repository) do update set seen_at = now() where content_source.seen_at < now() - interval '1 hour'`,
    [digests, remoteId, repository],
  )
}

/** Where a blob was seen, lately seen first; remotes that gave wrong bytes lately come last. */
export async function sourcesOf(db: Database, digest: Digest): Promise<Source[]> {
  return db.query<Source>(
    `select remote.id as "remoteId", remote.name as remote, source.upstream_repository as repository, remote.policy <> 'streamed' as "isKept"
     from content_source as source join remote on remote.id = source.remote_id
       left join set_aside_remote as aside on aside.remote_id = remote.id and aside.until > now()
     where source.digest = $1 order by aside.until nulls first, source.seen_at desc, remote.id limit ${mostSources}`,
    [digest],
  )
}

/** Which of these blobs a remote was seen to have. */
export async function knownAt(db: Database, remoteId: string, digests: readonly Digest[]): Promise<Set<Digest>> {
  const rows = await db.query<{ digest: Digest }>(
    'select distinct digest from content_source where remote_id = $1 and digest = any($2::text[])',
    [remoteId, digests],
  )
  return new Set(rows.map((row) => row.digest))
}

/** Has a remote that gave wrong bytes asked last for a while. */
export async function setAside(db: Database, remoteId: string, reason: string): Promise<void> {
  await db.query(
    `insert into set_aside_remote (remote_id, until, reason) select id, now() + make_interval(secs => $2), $3 from remote where id = $1
     on conflict (remote_id) do update set until = excluded.until, reason = excluded.reason`,
    [remoteId, setAsideSeconds, reason],
  )
}
