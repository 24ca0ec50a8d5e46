/** What a version holds, by type: the table, and its columns, the first of which names a row within a version. */
export const intervalTables = [
  { table: 'tag_interval', columns: ['name', 'digest'] },
  { table: 'manifest_interval', columns: ['digest', 'pushed_type'] },
  { table: 'blob_interval', columns: ['digest'] },
  { table: 'signature_interval', columns: ['name', 'digest', 'content'] },
] as const

export type IntervalTable = (typeof intervalTables)[number]['table']

/** The columns of one of the tables, the key first. */
export function columnsOf(table: IntervalTable): readonly [string, ...string[]] {
  const found = intervalTables.find((one) => one.table === table)
  if (!found) throw new TypeError(`${table} is no table of intervals`)
  return found.columns
}

/**
 * The media type of a manifest in a repository, as SQL over its interval and its row of `manifest`: as it was pushed there, or else
 * what its bytes say.
 */
export function typeOf(interval: string): string {
  return `coalesce(nullif(${interval}.pushed_type, ''), manifest.media_type)`
}

/**
 * SQL for the rows of `table` whose revision lies above `after`, up to `end`. It says `revision > 0` because the index on revisions is for
 * queries that do: no other takes it for an index by which it finds a single row.
 */
export function revisedBetween(table: string, after: string, end: string): string {
  return `${table}.revision > 0 and ${table}.revision > ${after} and ${table}.revision <= ${end}`
}

/**
 * Above every revision there will ever be. A query for rows "above a revision" has this as its other end, as a parameter: of
 * an open range PostgreSQL expects a third of the table and reads all of it; of a closed one, few rows, and uses the index.
 */
export const endOfRevisions = Number.MAX_SAFE_INTEGER
