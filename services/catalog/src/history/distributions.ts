import { type Rights, toSql } from '@berth/access'
import { badCursor, type Database, notFound } from '@berth/service'
import { readingAt } from '../intervals/reading-at.ts'
import { exactTime, firstFrom, knownVersions, latestAt, surelyLatestAt } from '../versions/known.ts'
import { digestIn, nothingKnown } from './tags.ts'

/** What a distribution served, from when to when. `repository` is null for who may not read it. */
export type ServedEntry = {
  repository: string | null
  repositoryId: string | null
  version: number
  pinned: boolean
  from: string
  to: string | null
  cause: string | null
  changedBy: string | null
  changedById: string | null
  available: boolean
}
type Row = ServedEntry & { pointing: number; servedFrom: string; mayRead: boolean }
/** Where a page goes on: the change of the distribution, and the version that was served then. */
type Place = { pointing: number; version: number }

// When the next change of the distribution ended it.
const ended = `(
  select later.since
  from distribution_history as later
  where later.distribution_id = $1
    and later.number > pointing.number
  order by later.number
  limit 1)`

/**
 * SQL for what was served by some rows of `distribution_history`, as `pointing`; `versions` are those of one that followed the latest.
 * A version was served from when it was made, or the distribution pointed there, until the next of either.
 */
const entriesOf = (pointings: string, versions: string, readable: string) => `
  select pointing.number as pointing, case when may_read then repository_name end as repository,
    case when may_read then pointing.repository_id end as "repositoryId", pointing.repository_id as "servedFrom",
    may_read as "mayRead", served.number as version, pointing.version is not null as pinned,
    ${exactTime('case when is_own then made.created_at else pointing.since end')} as "from",
    ${exactTime('least(pointing.ended, next.created_at)')} as "to",
    case when is_own then made.cause else pointing.cause end as cause,
    case when is_own then made.created_by else pointing.changed_by end as "changedBy",
    case when is_own then made.created_by_id else pointing.changed_by_id end as "changedById",
    exists (
      select
      from version
      where version.repository_id = pointing.repository_id
        and version.number = served.number) as available
  from (${pointings}) as pointing
  left join repository on repository.id = pointing.repository_id
  cross join lateral (
    select coalesce(pointing.repository_id = (select repository_id from distribution where id = $1) or ${readable}, false) as may_read
  ) as access
  cross join lateral (
    select pointing.version as number
    where pointing.version is not null
    union all
    ${versions}) as served
  left join lateral ${knownVersions('pointing.repository_id', 'number = served.number')} as made on true
  left join lateral ${firstFrom('pointing.repository_id', 'served.number + 1')} as next on pointing.version is null
  cross join lateral (select pointing.version is null and made.created_at > pointing.since as is_own) as cause`

function readableBy(rights: Rights, first: number) {
  const columns = { name: 'pointing.repository_name', id: 'pointing.repository_id', owner: 'repository.owner_id' }
  return toSql(rights, 'read', 'repository', columns, first)
}

/** A page of what a distribution served, newest first, as far as `rights` let it be seen. */
export async function distributionHistory(
  db: Database,
  request: { distributionId: string; after: string | undefined; rows: number; rights: Rights },
): Promise<Row[]> {
  const { distributionId, after, rows, rights } = request
  const place = after === undefined ? undefined : readPlace(after)
  const readable = readableBy(rights, 5)
  const pointings = `
    select *,
      coalesce(${latestAt('pointing.repository_id', 'pointing.since')}, 0) as first,
      least(
        ${latestAt('pointing.repository_id', 'pointing.ended')},
        case when pointing.number = $2 then $3::integer - 1 end,
        2147483647) as last
    from (
      select *, ${ended} as ended
      from distribution_history as pointing
      where distribution_id = $1
        and ($2::bigint is null or number <= $2)
      order by number desc
      limit $4::integer + 1) as pointing`
  const isServed = `pointing.version is null
    and number between pointing.first and pointing.last
    and (pointing.ended is null or created_at < pointing.ended)`
  const versions = knownVersions('pointing.repository_id', isServed, 'order by number desc limit $4')
  const text = `${entriesOf(pointings, `select number from ${versions} as followed`, readable.condition)}
    where $2::bigint is null or (pointing.number, served.number) < ($2, $3::integer)
    order by pointing.number desc, served.number desc
    limit $4`
  const values = [distributionId, place?.pointing ?? null, place?.version ?? null, rows, ...readable.values]
  return db.query<Row>(text, values)
}

/** The cursor behind a row of a page. */
export function placeOf({ pointing, version }: Row): string {
  return `${pointing}.${version}`
}

function readPlace(text: string): Place {
  const [, pointing, version] = /^(\d{1,15})\.(\d{1,10})$/.exec(text) ?? []
  if (pointing === undefined || Number(version) > 2 ** 31 - 1) throw badCursor()
  return { pointing: Number(pointing), version: Number(version) }
}

export function showServed(row: Row): ServedEntry {
  const { repository, repositoryId, version, pinned, from, to, cause, changedBy, changedById, available } = row
  return { repository, repositoryId, version, pinned, from, to, cause, changedBy, changedById, available }
}

/**
 * What a distribution served at a time; with a tag the digest that it had there, for who may read the repository. Throws 404 where it
 * served nothing, or nothing is known any more.
 */
export async function distributionAt(
  db: Database,
  request: { distribution: { id: string; name: string }; time: string; tag: string | undefined; rights: Rights },
): Promise<ServedEntry & { tag?: string; digest?: string }> {
  const { distribution, time, tag, rights } = request
  const readable = readableBy(rights, 3)
  const pointings = `
    select *, ${ended} as ended
    from distribution_history as pointing
    where distribution_id = $1
      and since <= $2::timestamptz
    order by number desc
    limit 1`
  const latest = surelyLatestAt('pointing.repository_id', '$2::timestamptz')
  const versions = `select ${latest} where pointing.version is null and ${latest} is not null`
  const [row] = await db.query<Row>(entriesOf(pointings, versions, readable.condition), [
    distribution.id,
    time,
    ...readable.values,
  ])
  if (!row) throw nothingKnown(distribution.name, time)
  if (tag === undefined) return showServed(row)
  const { servedFrom: repositoryId, version } = row
  const digest = row.mayRead
    ? await readingAt(db, repositoryId, [version], ([at = version]) => digestIn(db, { repositoryId, tag, at }))
    : undefined
  if (digest === undefined) throw notFound('tag', tag)
  return { ...showServed(row), tag, digest }
}
