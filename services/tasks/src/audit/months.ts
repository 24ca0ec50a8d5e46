import type { Sql } from '@berth/service'

/** The table of the month that a time (ISO 8601, UTC) is in. */
function tableOf(at: string): string {
  return `audit_${at.slice(0, 4)}${at.slice(5, 7)}`
}

/** Makes the tables of the months that some times are in, where there are none. Of replicas only one makes each. */
export async function ensureMonths(sql: Sql, times: readonly string[]): Promise<void> {
  for (const month of new Set(times.map((at) => at.slice(0, 7)))) {
    const first = new Date(`${month}-01T00:00:00Z`)
    const table = tableOf(first.toISOString())
    const [known] = await sql.query<{ isThere: boolean }>('select to_regclass($1) is not null as "isThere"', [table])
    if (!known?.isThere) await sql.query('select make_audit_month($1, $2)', [table, first.toISOString()])
  }
}

/** Drops the tables of months that were over so many days ago; answers which. */
export async function dropMonths(sql: Sql, keptDays: number, now = new Date()): Promise<string[]> {
  const oldest = new Date(now.getTime() - keptDays * 86_400_000)
  const tables = await sql.query<{ name: string }>(
    `select relname as name
     from pg_inherits
     join pg_class on pg_class.oid = inhrelid
     where inhparent = 'audit'::regclass
     order by relname`,
  )
  const old = tables.filter(({ name }) => name < tableOf(oldest.toISOString())).map(({ name }) => name)
  for (const name of old) await sql.query('select drop_audit_month($1)', [name])
  return old
}
