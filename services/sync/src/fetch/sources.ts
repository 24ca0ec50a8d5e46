import type { Digest } from '@berth/oci'
import type { Database } from '@berth/service'

/** Where a blob can be fetched. `isStored`: what comes from there is stored. */
export type Source = { remoteId: string; remote: string; repository: string; isStored: boolean }

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
    `insert into content_source (digest, remote_id, upstream_repository)
     select unnest($1::text[]), $2, $3
     on conflict (digest, remote_id, upstream_repository) do update set seen_at = now()
     where content_source.seen_at < now() - interval '1 hour'`,
    [inOneOrder(digests), remoteId, repository],
  )
}

/** Notes that a repository of a remote showed that it has these (docs/decisions/0022), and so that they were seen there. */
export async function recordGiven(
  db: Database,
  { remoteId, repository }: { remoteId: string; repository: string },
  digests: readonly Digest[],
): Promise<void> {
  if (digests.length === 0) return
  await db.query(
    `insert into content_source (digest, remote_id, upstream_repository, given_at)
     select unnest($1::text[]), $2, $3, now()
     on conflict (digest, remote_id, upstream_repository) do update set seen_at = now(), given_at = now()
     where content_source.given_at is null or content_source.seen_at < now() - interval '1 hour'`,
    [inOneOrder(digests), remoteId, repository],
  )
}

/** Copies from one repository upstream note the same digests at once; each locks their rows as it comes to them, so all in this order. */
function inOneOrder(digests: readonly Digest[]): Digest[] {
  return [...digests].sort()
}

/** Of a digest: which repositories gave it that are reached in the same way as this remote, and whether others were seen to have it. */
export type Known = { digest: Digest; givers: string[]; isElsewhere: boolean }

// The user that makes a remote says how its host is reached, and so which server answers as that host: only remotes that agree in all
// of this reach the same one. Sealed headers cannot be compared.
const isSameWay = `(other.id = own.id or (other.url = own.url and other.tls_validation = own.tls_validation
  and other.ca_cert is not distinct from own.ca_cert and other.proxy_url is not distinct from own.proxy_url
  and cardinality(other.header_names) = 0 and cardinality(own.header_names) = 0))`

/** What is known of these digests, seen from a remote; those that were seen nowhere are left out. */
export async function knownOf(db: Database, remoteId: string, digests: readonly Digest[]): Promise<Known[]> {
  return db.query<Known>(
    `select source.digest, bool_or(not ${isSameWay}) as "isElsewhere",
       coalesce(
         array_agg(source.upstream_repository) filter (where source.given_at is not null and ${isSameWay}),
         '{}') as givers
     from content_source as source
     join remote as other on other.id = source.remote_id
     join remote as own on own.id = $1
     where source.digest = any($2::text[])
     group by source.digest`,
    [remoteId, digests],
  )
}

/** Where a blob was seen, lately seen first; remotes that gave wrong bytes lately come last. */
export async function sourcesOf(db: Database, digest: Digest): Promise<Source[]> {
  return db.query<Source>(
    `select remote.id as "remoteId", remote.name as remote, source.upstream_repository as repository,
       remote.policy <> 'streamed' as "isStored"
     from content_source as source
     join remote on remote.id = source.remote_id
     left join set_aside_remote as aside on aside.remote_id = remote.id and aside.until > now()
     where source.digest = $1
     order by aside.until nulls first, source.seen_at desc, remote.id
     limit ${mostSources}`,
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

/** Which of these blobs were seen at no remote that there still is. */
export async function withoutSource(db: Database, digests: readonly Digest[]): Promise<Set<Digest>> {
  const rows = await db.query<{ digest: Digest }>(
    `select digest from unnest($1::text[]) as wanted (digest)
     where not exists (select from content_source where content_source.digest = wanted.digest)`,
    [digests],
  )
  return new Set(rows.map((row) => row.digest))
}

/** Has a remote that gave wrong bytes asked last for a while. */
export async function setAside(db: Database, remoteId: string, reason: string): Promise<void> {
  await db.query(
    `insert into set_aside_remote (remote_id, until, reason)
     select id, now() + make_interval(secs => $2), $3
     from remote
     where id = $1
     on conflict (remote_id) do update set until = excluded.until, reason = excluded.reason`,
    [remoteId, setAsideSeconds, reason],
  )
}
