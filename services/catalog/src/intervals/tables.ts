/** What a version holds, by type: the table, and its columns, the first of which names a row within a version. */
export const intervalTables = [
  { table: 'tag_interval', columns: ['name', 'digest'] },
  { table: 'manifest_interval', columns: ['digest'] },
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
 * Above every revision there will ever be. A query for rows "above a revision" has this as its other end, as a parameter: of
 * an open range PostgreSQL expects a third of the table and reads all of it; of a closed one, few rows, and uses the index.
 */
export const endOfRevisions = Number.MAX_SAFE_INTEGER
