import type { Sql } from '@berth/service'
import { columnsOf, type IntervalTable } from './tables.ts'

/** The version being made of a locked repository: its number, and the revision that its rows carry. */
export type Edit = { repositoryId: string; number: number; revision: number }

// Of everything that is written here the first three parameters are the edit's.
const own = ({ repositoryId, number, revision }: Edit) => [repositoryId, number, revision]

/** What to do with a row that begins in this version already, because it was opened and closed by it: open it again. */
export function openAgain(table: IntervalTable): string {
  const [key, ...others] = columnsOf(table)
  const changes = others.map((column) => `, ${column} = excluded.${column}`).join('')
  return `on conflict (repository_id, ${key}, since) do update set until = null, revision = excluded.revision${changes}`
}

/**
 * SQL that opens rows: those that the query `wanted` answers, with the columns of the table, but for what is open under the same
 * key. `$1` to `$3` are the repository, the version and the revision. What is open is looked up for each row by itself (the limit keeps
 * it so): as a join it may be planned, before there are statistics, as every row beside every other, and ten thousand layers take
 * ten seconds.
 */
export function openQuery(table: IntervalTable, wanted: string): string {
  const [key, ...others] = columnsOf(table)
  const columns = [key, ...others]
  return `
    insert into ${table} (repository_id, since, revision, ${columns.join(', ')})
    select $1::uuid, $2::integer, $3::bigint, ${columns.map((column) => `wanted.${column}`).join(', ')}
    from (${wanted}) as wanted
    where (
      select true
      from ${table} as open
      where open.repository_id = $1
        and open.${key} = wanted.${key}
        and open.until is null
      limit 1) is null
    ${openAgain(table)}`
}

/** Opens the rows that a query answers; its own parameters begin at `$4`. `name` has it prepared, for hot paths. */
export async function openRows(
  sql: Sql,
  edit: Edit,
  table: IntervalTable,
  { wanted, values, name }: { wanted: string; values: readonly unknown[]; name?: string },
): Promise<void> {
  const [text, all] = [openQuery(table, wanted), [...own(edit), ...values]]
  if (name === undefined) await sql.query(text, all)
  else await sql.prepared(name, text, all)
}

/**
 * Closes the open rows of the repository for which `where` holds, over the alias `open` and what `using` adds; their own parameters
 * begin at `$4`. `name` has it prepared, for hot paths.
 */
export async function closeRows(
  sql: Sql,
  edit: Edit,
  table: IntervalTable,
  { where, using, values, name }: { where: string; using?: string; values: readonly unknown[]; name?: string },
): Promise<void> {
  const text = `
    update ${table} as open
    set until = $2, revision = $3
    ${using === undefined ? '' : `from ${using}`}
    where open.repository_id = $1
      and open.until is null
      and ${where}`
  const all = [...own(edit), ...values]
  if (name === undefined) await sql.query(text, all)
  else await sql.prepared(name, text, all)
}

/** Gives rows of some digests a revision, so that followers hear of them again. Nothing of what they hold changes. */
export async function touchRows(
  sql: Sql,
  repositoryId: string,
  revision: number,
  digests: readonly string[],
): Promise<void> {
  for (const table of ['blob_interval', 'manifest_interval'])
    await sql.query(
      `update ${table}
       set revision = $2
       where repository_id = $1
         and digest = any($3::text[])`,
      [repositoryId, revision, digests],
    )
}

const hasNoVersion = `interval.repository_id = $1
  and interval.until > interval.since
  and not exists (
    select
    from version
    where version.repository_id = $1
      and version.number >= interval.since
      and version.number < interval.until)`

// Where a tag pointed is known for longer than it can be pulled (docs/decisions/0044). They are looked for once.
const emptyTags = `
  with gone as materialized (
    select repository_id, name, since, until, digest, opened_at
    from tag_interval as interval
    where ${hasNoVersion}),
  kept as (
    insert into tag_history (repository_id, name, since, until, digest, opened_at)
    select *
    from gone)
  update tag_interval as interval
  set until = gone.since, revision = $2
  from gone
  where interval.repository_id = $1
    and interval.name = gone.name
    and interval.since = gone.since`

/**
 * Empties the intervals in which no version is left, so that nothing keeps their content. They end where they begin and stay
 * a while, for followers to hear of it; the collector takes them away. Of tags history keeps what they were.
 */
export async function emptyRows(sql: Sql, table: IntervalTable, repositoryId: string, revision: number): Promise<void> {
  const text = `
    update ${table} as interval
    set until = since, revision = $2
    where ${hasNoVersion}`
  await sql.query(table === 'tag_interval' ? emptyTags : text, [repositoryId, revision])
}
