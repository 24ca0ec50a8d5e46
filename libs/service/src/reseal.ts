import type { Sealer } from './seal.ts'
import type { Sql } from './sql.ts'

/** What is sealed in a table: its columns, each with what a row's secret there is bound to. */
export type SealedColumns = {
  table: string
  id: string
  columns: Record<string, (id: string) => string>
}
export type Resealed = { resealed: number; unreadable: string[] }

const rowsPerBatch = 100
const mostPasses = 5

/**
 * Seals anew what is sealed under another key than the sealer's own. Each row is one statement that does nothing when one of its
 * secrets was changed meanwhile; such rows are looked at again. Can be stopped and begun again at any point. Answers the rows whose
 * secrets no key here opens: they stay as they are.
 */
export async function resealAll(sql: Sql, sealer: Sealer, sealed: SealedColumns): Promise<Resealed> {
  let resealed = 0
  for (let pass = 1; ; pass++) {
    const { done, missed, unreadable } = await resealOnce(sql, sealer, sealed)
    resealed += done
    if (missed === 0) return { resealed, unreadable }
    if (pass === mostPasses)
      throw new Error(`${missed} rows of ${sealed.table} changed each time they were to be sealed anew`)
  }
}

async function resealOnce(sql: Sql, sealer: Sealer, sealed: SealedColumns) {
  const { table, id, columns } = sealed
  const names = Object.keys(columns)
  const isOld = names.map((name) => `substring(${name} from 1 for ${sealer.keyId.length}) <> $1`).join(' or ')
  const counts = { done: 0, missed: 0, unreadable: [] as string[] }
  for (let after = ''; ; ) {
    const rows = await sql.query<Row>(
      `select ${id}::text as id, ${names.join(', ')}
       from ${table}
       where (${isOld})
         and ${id}::text collate "C" > $2
       order by ${id}::text collate "C"
       limit ${rowsPerBatch}`,
      [sealer.keyId, after],
    )
    for (const row of rows) {
      const anew = sealAnew(sealer, row, columns)
      if (!anew) counts.unreadable.push(row.id)
      else if (await replace(sql, sealed, row, anew)) counts.done++
      else counts.missed++
    }
    const last = rows.at(-1)
    if (!last || rows.length < rowsPerBatch) return counts
    after = last.id
  }
}

type Row = { id: string } & Record<string, Buffer | string | null>

function sealAnew(
  sealer: Sealer,
  row: Row,
  columns: SealedColumns['columns'],
): Map<string, { before: Buffer; after: Buffer }> | undefined {
  const anew = new Map<string, { before: Buffer; after: Buffer }>()
  for (const [name, contextOf] of Object.entries(columns)) {
    const before = row[name]
    if (!Buffer.isBuffer(before) || sealer.isOwn(before)) continue
    const context = contextOf(row.id)
    try {
      anew.set(name, { before, after: sealer.seal(sealer.open(before, context), context) })
    } catch {
      // The caller names the row; what failed is always the same: none of the keys opens it.
      return undefined
    }
  }
  return anew
}

async function replace(
  sql: Sql,
  { table, id }: SealedColumns,
  row: Row,
  anew: Map<string, { before: Buffer; after: Buffer }>,
): Promise<boolean> {
  const values: unknown[] = [row.id]
  const at = (value: unknown) => `$${values.push(value)}`
  const sets = [...anew].map(([name, { after }]) => `${name} = ${at(after)}`)
  const same = [...anew].map(([name, { before }]) => `${name} = ${at(before)}`)
  const changed = await sql.query(
    `update ${table}
     set ${sets.join(', ')}
     where ${id}::text = $1
       and ${same.join(' and ')}
     returning 1`,
    values,
  )
  return changed.length > 0
}
