/** Where each field of an object is kept: its column, and whether that holds a document (`jsonb`). */
export type Columns<Fields> = { readonly [Field in keyof Fields]-?: { column: string; isJson?: boolean } }

/** By column, the values of the fields that are given; what is `undefined` is not. */
export function columnValues<Fields extends object>(
  columns: Columns<Fields>,
  given: Partial<Fields>,
): Record<string, unknown> {
  const values: Record<string, unknown> = {}
  for (const field of Object.keys(columns) as (keyof Fields)[]) {
    const { column, isJson = false } = columns[field]
    const value = given[field]
    if (value !== undefined) values[column] = isJson && value !== null ? JSON.stringify(value) : value
  }
  return values
}

/** The columns under the names of their fields, for `select` and `returning`. */
export function selectedColumns<Fields>(columns: Columns<Fields>): string {
  return Object.entries<{ column: string }>(columns)
    .map(([field, { column }]) => `${column} as "${field}"`)
    .join(', ')
}

/** `insert into <table> (…) values (…)` with its parameters from `$1` on. */
export function insertQuery(table: string, values: Record<string, unknown>): { text: string; values: unknown[] } {
  const names = Object.keys(values)
  const places = names.map((_, i) => `$${i + 1}`)
  return {
    text: `insert into ${table} (${names.join(', ')}) values (${places.join(', ')})`,
    values: Object.values(values),
  }
}

/**
 * `<column> = $2, …`: assignments whose parameters begin at `$first`. Of nothing, one that changes nothing, over the column
 * `id`.
 */
export function assignments(values: Record<string, unknown>, first: number): string {
  const names = Object.keys(values)
  return names.length === 0 ? 'id = id' : names.map((name, i) => `${name} = $${i + first}`).join(', ')
}

/** Those fields of a row that the table of columns names, and nothing else that the row may have. */
export function pickFields<Fields extends object>(
  columns: Columns<Fields>,
  row: { [Field in keyof Fields]: unknown },
): Fields {
  const fields = Object.keys(columns) as (keyof Fields)[]
  return Object.fromEntries(fields.map((field) => [field, row[field]])) as Fields
}
