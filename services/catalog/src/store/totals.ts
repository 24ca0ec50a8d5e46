import type { Sql } from '@berth/service'
import { heldByAny } from '../intervals/held.ts'

// What a repository has in any of its versions, and what is loose in it.
const members = (repository: string) => `(
  select digest
  from blob_interval as held
  where repository_id = ${repository}
    and ${heldByAny('held')}
  union
  select digest
  from manifest_interval as held
  where repository_id = ${repository}
    and ${heldByAny('held')})`

const allMembers = `(
  select repository_id, digest
  from blob_interval as held
  where ${heldByAny('held')}
  union
  select repository_id, digest
  from manifest_interval as held
  where ${heldByAny('held')})`

/** How much the store holds, and for how many. */
export type StoreTotals = {
  /** Everything that is stored, once. */
  objects: number
  uniqueBytes: number
  /** What more than one repository has, once. */
  sharedBytes: number
  /** What the repositories have, summed up: as much as they would take without sharing. */
  logicalBytes: number
  repositories: number
  /** What nothing needs at the moment. */
  candidates: { objects: number; bytes: number }
  /** What is not here and comes from a remote when it is first pulled. */
  remote: { objects: number; bytes: number }
  /** What is being removed. */
  removing: number
  /** What was found missing or damaged and is not served. */
  damaged: number
}

const storeTotalsQuery = `
  with held as (select digest, count(*) as holders from ${allMembers} as member group by digest),
  summed as (
    select coalesce(sum(size_bytes * holders), 0)::bigint as logical,
      coalesce(sum(size_bytes) filter (where holders > 1), 0)::bigint as shared
    from held
    join blob using (digest)
    where state = 'present')
  select count(*) filter (where state = 'present') as objects,
    coalesce(sum(size_bytes) filter (where state = 'present'), 0)::bigint as "uniqueBytes",
    (select shared from summed) as "sharedBytes", (select logical from summed) as "logicalBytes",
    (select count(*) from repository) as repositories,
    json_build_object(
      'objects', count(*) filter (where state = 'present' and candidate_since is not null),
      'bytes', coalesce(sum(size_bytes) filter (where state = 'present' and candidate_since is not null), 0)) as candidates,
    json_build_object(
      'objects', count(*) filter (where state = 'remote'),
      'bytes', coalesce(sum(size_bytes) filter (where state = 'remote'), 0)) as remote,
    count(*) filter (where state = 'removing') as removing, count(*) filter (where damage in ('missing', 'rotten')) as damaged
  from blob`

/** ObjectFinders of the whole store, as they are in one moment. */
export async function readStoreTotals(sql: Sql): Promise<StoreTotals> {
  const [row] = await sql.query<StoreTotals>(storeTotalsQuery)
  if (!row) throw new Error('PostgreSQL gave no answer to a sum')
  return row
}

export type RepositoryBytes = {
  id: string
  name: string
  objects: number
  logicalBytes: number
  /** What no other repository has. */
  uniqueBytes: number
  sharedBytes: number
}

const repositoryBytesQuery = `
  with page as (
    select id, name
    from repository
    where name > $1
      and ($3::text is null or position($3 in name) > 0)
    order by name
    limit $2)
  select page.id, page.name, coalesce(sums.objects, 0) as objects, coalesce(sums.logical, 0)::bigint as "logicalBytes",
    coalesce(sums.logical - sums.shared, 0)::bigint as "uniqueBytes", coalesce(sums.shared, 0)::bigint as "sharedBytes"
  from page, lateral (
    select count(*) as objects, sum(size_bytes) as logical,
      coalesce(
        sum(size_bytes) filter (
          where exists (
            select
            from blob_interval as other
            where other.digest = blob.digest
              and other.repository_id <> page.id
              and ${heldByAny('other')})
          or exists (
            select
            from manifest_interval as other
            where other.digest = blob.digest
              and other.repository_id <> page.id
              and ${heldByAny('other')})),
        0) as shared
    from ${members('page.id')} as member
    join blob using (digest)
    where blob.state = 'present') as sums
  order by page.name`

/** What repositories take, by name: one page after `after`, with one row more than `limit`. */
export async function readRepositoryBytes(
  sql: Sql,
  page: { after: string; limit: number; q?: string | undefined },
): Promise<RepositoryBytes[]> {
  return sql.query<RepositoryBytes>(repositoryBytesQuery, [page.after, page.limit + 1, page.q ?? null])
}
