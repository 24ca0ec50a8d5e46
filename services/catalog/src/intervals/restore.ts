import type { Sql } from '@berth/service'
import { heldIn } from './held.ts'
import { endOfRevisions, intervalTables, revisedBetween } from './tables.ts'
import { closeRows, type Edit, openAgain } from './write-rows.ts'

// What was opened or closed since carries a higher revision; of all the rest nothing has to be compared.
const isLater = (row: string) => revisedBetween(row, '$5', '$6')
const inTarget = heldIn('old', '$1', '$4')

/**
 * Makes the content what it was in version `target`: closes what is not in it, opens again what is. Nothing may be loose, so
 * that a row which begins here already is one that was over at once.
 */
export async function restoreVersion(
  sql: Sql,
  edit: Edit,
  target: { number: number; revision: number },
): Promise<void> {
  const values = [target.number, target.revision, endOfRevisions]
  for (const { table, columns } of intervalTables) {
    const same = columns.map((column) => `open.${column} = old.${column}`).join(' and ')
    const where = `${isLater('open')} and not exists (select from ${table} as old where ${inTarget} and ${same})`
    await closeRows(sql, edit, table, { where, values })
    const [inTheWay] = await sql.query(
      `select
       from ${table}
       where repository_id = $1
         and since = $2
         and until <= since
       limit 1`,
      [edit.repositoryId, edit.number],
    )
    // Ready for a conflict, PostgreSQL looks each row up first and writes it in two steps: a third of the time of very many.
    await sql.query(
      `insert into ${table} (repository_id, since, revision, ${columns.join(', ')})
       select $1, $2, $3, ${columns.map((column) => `old.${column}`).join(', ')}
       from ${table} as old
       where ${inTarget}
         and ${isLater('old')}
         and not exists (select from ${table} as open where open.repository_id = $1 and open.until is null and ${same})
       ${inTheWay ? openAgain(table) : ''}`,
      [edit.repositoryId, edit.number, edit.revision, ...values],
    )
  }
}
