import { type PageRequest, pageBytes, type Sql, timeAndIdAfter } from '@berth/service'
import { heldByAny } from '../intervals/held.ts'

const time = (value: string) => `to_char(${value} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`

export type Candidate = { digest: string; bytes: number; reason: string; candidateSince: string; goesAt: string }

/** What the collector has found that nothing needs, as it stood at its last look. */
export async function listCandidates(
  sql: Sql,
  page: { after: string; limit: number; graceSeconds: number },
): Promise<Candidate[]> {
  return sql.query<Candidate>(
    `select digest, case state when 'remote' then 0 else coalesce(size_bytes, 0) end as bytes,
       case state when 'writing' then 'unfinished' else 'unreferenced' end as reason,
       ${time('candidate_since')} as "candidateSince", ${time('(candidate_since + make_interval(secs => $3))')} as "goesAt"
     from blob
     where candidate_since is not null
       and digest > $1
     order by digest
     limit $2`,
    [page.after, page.limit + 1, page.graceSeconds],
  )
}

export type ShownRun = {
  id: string
  cause: string
  task: string | null
  graceSeconds: number
  thorough: boolean
  startedAt: string
  finishedAt: string | null
  result: unknown
  error: string | null
}

const runColumns = `id, cause, task_id as task, grace_seconds as "graceSeconds", thorough, ${time('started_at')} as "startedAt",
  ${time('finished_at')} as "finishedAt", result, error`

/** Runs of the collector, newest first. */
export async function listRuns(sql: Sql, page: PageRequest): Promise<ShownRun[]> {
  const after = timeAndIdAfter(page)
  return sql.query<ShownRun>(
    `select ${runColumns}
     from gc_run
     where $1::timestamptz is null or (started_at, id) < ($1::timestamptz, $2::uuid)
     order by started_at desc, id desc
     limit $3`,
    [after?.at ?? null, after?.id ?? null, page.limit + 1],
  )
}

/** The last run that came to an end; null before the first one. */
export async function lastRun(sql: Sql): Promise<ShownRun | null> {
  const [run] = await sql.query<ShownRun>(
    `select ${runColumns}
     from gc_run
     where finished_at is not null
     order by started_at desc, id desc
     limit 1`,
  )
  return run ?? null
}

export type Damaged = { digest: string; damage: string; bytes: number; repositories: string[] }

// Of repositories' names, 257 bytes each at most.
const mostNamed = 100
/** Most rows of a page of damaged content: what names so many repositories is large. */
export const damagedPerPage = Math.floor(pageBytes / (mostNamed * 257 + 300))

const damagedQuery = `
  select digest, damage, coalesce(size_bytes, 0) as bytes,
    array(
      select name
      from repository
      where exists (
        select
        from blob_interval as held
        where held.digest = blob.digest
          and held.repository_id = repository.id
          and ${heldByAny('held')})
        or exists (
          select
          from manifest_interval as held
          where held.digest = blob.digest
            and held.repository_id = repository.id
            and ${heldByAny('held')})
      order by name
      limit ${mostNamed}) as repositories
  from blob
  where damage in ('missing', 'rotten')
    and digest > $1
  order by digest
  limit $2`

/** What was found missing or rotten and has not come back. */
export async function listDamaged(sql: Sql, page: { after: string; limit: number }): Promise<Damaged[]> {
  return sql.query<Damaged>(damagedQuery, [page.after, page.limit + 1])
}
