import { type Database, notFound, Problem, type Sql } from '@berth/service'
import { heldByAny } from '../intervals/held.ts'
import { ensureWrittenOut } from '../versions/ensure-written-out.ts'
import { exactTime, firstFrom, knownVersions, surelyLatestAt } from '../versions/known.ts'

/** Where a tag pointed, from when to when. What began before all that is known has nobody who did it. */
export type TagEntry = {
  digest: string
  version: number
  from: string
  to: string | null
  cause: string | null
  changedBy: string | null
  changedById: string | null
  available: boolean
}

/** SQL for all that a tag `$2` of a repository was, by its versions. */
const intervalsOf = (condition: string) => `
  select since, until, digest, opened_at
  from tag_interval as row
  where repository_id = $1
    and name = $2
    and ${heldByAny('row')}
    and ${condition}
  union all
  select since, until, digest, opened_at
  from tag_history
  where repository_id = $1
    and name = $2
    and ${condition}`

/** What is open ends with no version that is known. */
const entriesOf = (page: string) => `
  select page.digest, page.since as version, ${exactTime('coalesce(began.created_at, page.opened_at)')} as "from",
    ${exactTime('ended.created_at')} as "to", began.cause, began.created_by as "changedBy", began.created_by_id as "changedById",
    exists (
      select
      from manifest_interval as member
      where member.repository_id = $1
        and member.digest = page.digest
        and ${heldByAny('member')}) as available
  from (${page}) as page
  left join lateral ${knownVersions('$1', 'number = page.since')} as began on true
  left join lateral ${firstFrom('$1', 'page.until')} as ended on true
  order by page.since desc`

const isMade = 'since <= (select latest_version from repository where id = $1)'

/** A page of the history of a tag, newest first: `before` is the version that the last one of the page before began with. */
export async function tagHistory(
  db: Database,
  { repositoryId, tag, before, rows }: { repositoryId: string; tag: string; before: number | undefined; rows: number },
): Promise<TagEntry[]> {
  const page = `
    select *
    from (${intervalsOf(isMade)}) as entry
    where $3::integer is null or since < $3
    order by since desc
    limit $4`
  return whenWrittenOut(db, repositoryId, () =>
    db.query<TagEntry>(entriesOf(page), [repositoryId, tag, before ?? null, rows]),
  )
}

/** Where a tag pointed at a time. Throws 404 where it was none, or nothing is known any more. */
export async function tagAt(
  db: Database,
  { repositoryId, tag, time }: { repositoryId: string; tag: string; time: string },
): Promise<TagEntry> {
  const version = await versionAt(db, repositoryId, time)
  if (version === undefined) throw nothingKnown(`tag "${tag}"`, time)
  const covers = 'since <= $3::integer and (until is null or until > $3)'
  const [entry] = await whenWrittenOut(db, repositoryId, () =>
    db.query<TagEntry>(entriesOf(intervalsOf(covers)), [repositoryId, tag, version]),
  )
  if (!entry) throw notFound('tag', tag)
  return entry
}

/** The digest that a tag has in a version, whether or not that one is there still. */
export async function digestIn(
  sql: Sql,
  { repositoryId, tag, at }: { repositoryId: string; tag: string; at: number },
): Promise<string | undefined> {
  const covers = 'since <= $3::integer and (until is null or until > $3)'
  const [row] = await sql.query<{ digest: string }>(intervalsOf(covers), [repositoryId, tag, at])
  return row?.digest
}

/** 404 for a time of which nothing is known. */
export function nothingKnown(what: string, time: string): Problem {
  return new Problem(404, 'history_unknown', `Nothing is known of ${what} at ${time}.`, {
    field: 'time',
    hint: 'It was not there yet, or that is longer ago than history is kept (BERTH_HISTORY_DAYS).',
  })
}

async function versionAt(sql: Sql, repositoryId: string, time: string): Promise<number | undefined> {
  const [row] = await sql.query<{ number: number | null }>(
    `select ${surelyLatestAt('$1', '$2::timestamptz')} as number`,
    [repositoryId, time],
  )
  return row?.number ?? undefined
}

/** Reads what the intervals say of the latest version too: again, where a large rollback came in between. */
async function whenWrittenOut<T>(db: Database, repositoryId: string, read: () => Promise<T>): Promise<T> {
  for (;;) {
    await ensureWrittenOut(db, repositoryId)
    const found = await read()
    const waiting = await db.query('select from repository where id = $1 and content_of is not null', [repositoryId])
    if (waiting.length === 0) return found
  }
}
