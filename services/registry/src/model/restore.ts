import type { Sql } from '@berth/service'
import { heldAt } from './held.ts'

const tables = [
  { table: 'served_tag', columns: ['name', 'digest'] },
  { table: 'served_manifest', columns: ['digest', 'pushed_type'] },
  { table: 'served_blob', columns: ['digest'] },
  { table: 'served_signature', columns: ['name', 'digest', 'content'] },
] as const

/**
 * Makes what is served what it was in a version that the model has, from version `at` on: what catalog does to its own
 * intervals for a rollback, done here to those that say the same.
 */
export async function restoreServed(
  sql: Sql,
  repositoryId: string,
  { version, at }: { version: number; at: number },
): Promise<void> {
  const inTarget = `old.repository_id = $1 and ${heldAt('$3', 'old')}`
  for (const { table, columns } of tables) {
    const [key, ...others] = columns
    const same = columns.map((column) => `open.${column} = old.${column}`).join(' and ')
    const values = [repositoryId, at, version]
    await sql.query(
      `update ${table} as open
       set until = $2
       where open.repository_id = $1
         and open.until is null
         and not exists (select from ${table} as old where ${inTarget} and ${same})`,
      values,
    )
    // Rare, and looking for each row whether it is there already takes as long as writing it.
    const [inTheWay] = await sql.query(
      `select
       from ${table}
       where repository_id = $1
         and since = $2
         and until <= since
       limit 1`,
      [repositoryId, at],
    )
    const orOpenAgain = `on conflict (repository_id, ${key}, since) do update
         set until = null${others.map((column) => `, ${column} = excluded.${column}`).join('')}`
    await sql.query(
      `insert into ${table} (repository_id, since, ${columns.join(', ')})
       select $1, $2, ${columns.map((column) => `old.${column}`).join(', ')}
       from ${table} as old
       where ${inTarget}
         and not exists (select from ${table} as open where open.repository_id = $1 and open.until is null and ${same})
       ${inTheWay ? orOpenAgain : ''}`,
      values,
    )
  }
}
