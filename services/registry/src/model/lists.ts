import { toSql } from '@berth/access'
import type { Digest } from '@berth/oci'
import { type Database, pageBytes } from '@berth/service'
import type { Sight } from '../access/rights.ts'
import { heldAt, typeOf } from './held.ts'
import type { Pointer } from './pointer.ts'

const held = heldAt('$2')

/** Up to `limit` tags after a name, in byte order. */
export async function listTags(db: Database, pointer: Pointer, after: string, limit: number): Promise<string[]> {
  const rows = await db.prepared<{ name: string }>(
    'list-tags',
    `select name
     from served_tag
     where repository_id = $1
       and ${held}
       and name > $3
     order by name
     limit $4`,
    [pointer.repositoryId, pointer.bound, after, limit],
  )
  return rows.map((row) => row.name)
}

const ownColumns = { name: 'base_path', id: 'distribution_id', owner: 'owner_id', isPublic: "access = 'public'" }
// A right on the distribution of a host is one on what came by it; patterns are compared with the name of that.
const pullThroughColumns = { name: `''::text collate "C"`, id: 'via' }

/** Which pointers a caller may pull from, as SQL with its parameters from `$first` on. */
function pullable({ rights, names }: Pick<Sight, 'rights' | 'names'>, first: number) {
  const own = toSql(rights, 'pull', 'distribution', ownColumns, first + 1)
  const pullThrough = toSql(rights, 'pull', 'distribution', pullThroughColumns, first + 1 + own.values.length)
  return {
    condition: `(base_path = any($${first}::text[]) or ${own.condition} or ${pullThrough.condition})`,
    values: [names, ...own.values, ...pullThrough.values],
  }
}

/** Up to `limit` base paths after a name that a caller may pull from, in byte order. */
export async function listBasePaths(
  db: Database,
  { sight, after, limit }: { sight: Sight; after: string; limit: number },
): Promise<string[]> {
  const { condition, values } = pullable(sight, 3)
  const rows = await db.query<{ name: string }>(
    `select base_path as name
     from pointer
     where base_path > $1
       and ${condition}
     order by base_path
     limit $2`,
    [after, limit, ...values],
  )
  return rows.map((row) => row.name)
}

const servedSomewhere = (pullable: string) => `
  select
  from pointer
  where repository_id in (
    select repository_id
    from served_blob
    where digest = $1)
    and ${pullable}
    and exists (
      select
      from served_blob as member
      where member.repository_id = pointer.repository_id
        and member.digest = $1
        and ${heldAt('coalesce(pinned, latest_version + 1)')})
  limit 1`

/** Whether the latest of one of these repositories is served anywhere that a caller may pull from. */
export async function isOneServed(db: Database, repositoryIds: readonly string[], sight: Sight): Promise<boolean> {
  const { condition, values } = pullable(sight, 2)
  const rows = await db.query(
    `select
     from pointer
     where repository_id = any($1::uuid[])
       and pinned is null
       and ${condition}
     limit 1`,
    [repositoryIds, ...values],
  )
  return rows.length > 0
}

/** Whether a manifest that names a blob is served anywhere that a caller may pull from. */
export async function isServedSomewhere(db: Database, digest: Digest, sight: Sight): Promise<boolean> {
  const { condition, values } = pullable(sight, 2)
  const rows = await db.query(servedSomewhere(condition), [digest, ...values])
  return rows.length > 0
}

/**
 * The signatures of a manifest that are served here, in the order of their names; as many as fit into 4 MiB, for there are no
 * pages.
 */
export async function listSignatures(
  db: Database,
  pointer: Pointer,
  digest: Digest,
): Promise<{ name: string; content: string }[]> {
  return db.prepared<{ name: string; content: string }>(
    'list-signatures',
    `select name, content
     from (
       select name, content, sum(octet_length(content) + 400) over (order by name) as so_far
       from served_signature
       where repository_id = $1 and ${held} and digest = $3) as signature
     where so_far <= $4
     order by name`,
    [pointer.repositoryId, pointer.bound, digest, pageBytes],
  )
}

export type Referrer = {
  digest: Digest
  mediaType: string
  sizeBytes: number
  artifactType: string | null
  annotations: Record<string, string>
}

const pageOfReferrers = `
  with listed as (
    select facts.digest, listed_bytes, ${typeOf('member')} as media_type
    from manifest_facts as facts
    join served_manifest as member on member.repository_id = $1
      and member.digest = facts.digest
      and ${heldAt('$2', 'member')}
    where subject = $3
      and facts.digest > $4
      and ($5::text is null or artifact_type = $5)
    order by facts.digest
    limit $6),
  summed as (
    select digest, media_type, sum(listed_bytes) over (order by digest) as so_far, row_number() over (order by digest) as place,
      count(*) over () as found
    from listed)
  select digest, summed.media_type as "mediaType", size_bytes as "sizeBytes", artifact_type as "artifactType", annotations, found
  from summed
  join manifest_facts using (digest)
  where place = 1 or so_far <= $7
  order by digest`

/**
 * Manifests served here whose `subject` is this digest, after a digest, in order: up to `limit`, and no more than fit on a page of
 * 4 MiB, but one at least. `goesOn` says whether there are more.
 */
export async function listReferrers(
  db: Database,
  pointer: Pointer,
  subject: Digest,
  options: { artifactType: string | null; after: string; limit: number },
): Promise<{ referrers: Referrer[]; goesOn: boolean }> {
  const { after, artifactType, limit } = options
  const rows = await db.prepared<Referrer & { found: number }>('list-referrers', pageOfReferrers, [
    pointer.repositoryId,
    pointer.bound,
    subject,
    after,
    artifactType,
    limit + 1,
    pageBytes,
  ])
  const referrers = rows.slice(0, limit)
  return { referrers, goesOn: (rows[0]?.found ?? 0) > referrers.length }
}
