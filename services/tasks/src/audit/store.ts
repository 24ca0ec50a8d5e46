import { type AuditRow, type Database, recordedAs } from '@berth/service'
import { type Entry, entryColumns, showEntry } from './entry.ts'
import { ensureMonths } from './months.ts'

// The same row comes again when its service has not heard that it is stored.
const insertRows = `
  insert into audit
    (at, service, number, request_id, action, actor_id, actor, object_kind, object_id, object, detail, namespace, result, count,
     address)
  select at, $1, number, entry ->> 'requestId', entry ->> 'action', (entry -> 'actor' ->> 'id')::uuid, entry -> 'actor' ->> 'name',
    entry -> 'object' ->> 'kind', entry -> 'object' ->> 'id', entry -> 'object' ->> 'name', entry ->> 'detail',
    entry ->> 'namespace', entry ->> 'result', (entry ->> 'count')::integer, entry ->> 'address'
  from jsonb_to_recordset($2::jsonb) as row (number bigint, at timestamptz, entry jsonb)
  on conflict do nothing
  returning ${entryColumns}`

/**
 * Stores what a service has recorded, once however often it comes. `write` gets what is new before it is committed: where Berth is killed
 * in between it gets it again, and never misses it.
 */
export async function storeRows(
  db: Database,
  service: string,
  rows: readonly AuditRow[],
  { keptDays, write }: { keptDays: number; write?: ((lines: string) => Promise<void>) | undefined },
): Promise<void> {
  const oldest = new Date(Date.now() - keptDays * 86_400_000).toISOString()
  // Bounded here too: one row that the table cannot take would keep all behind it out.
  const wanted = rows
    .filter(({ at }) => at >= oldest)
    .map((row) => ({ ...row, entry: recordedAs(row.entry, row.entry.result, row.entry.count) }))
  if (wanted.length === 0) return
  await db.transaction(async (sql) => {
    await ensureMonths(
      sql,
      wanted.map(({ at }) => at),
    )
    const stored = await sql.query<Entry>(insertRows, [service, JSON.stringify(wanted)])
    if (write && stored.length > 0) await write(stored.map(lineOf).join(''))
  })
}

/** An entry as a line of its own, which says that it is none of the log. */
function lineOf(row: Entry): string {
  return `${JSON.stringify({ type: 'audit', ...showEntry(row) })}\n`
}
