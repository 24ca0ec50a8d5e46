import { type AuditEntry, namespaceOf } from './audit-entry.ts'
import type { Sql } from './sql.ts'

/** The part of a schema in which changes are recorded, for `applyMigrations`. */
export const auditTables = new URL('./audit/', import.meta.url)

/** What came of it: `denied` and `login_failed` are counted over a time, and not written one by one. */
export type AuditResult = 'done' | 'denied' | 'login_failed'
/** What tasks keeps. */
export type Recorded = AuditEntry & { namespace: string | null; result: AuditResult; count: number }
/** A row on its way to tasks. `number` is of the service that recorded it. */
export type AuditRow = { number: number; at: string; entry: Recorded }

/** What every service that is audited answers to tasks: deletes what that has stored, and tells what comes next. */
export type AuditCommands = { 'take-audit': { request: { stored: number[] }; reply: { rows: AuditRow[] } } }

const longestText = 1_024
// The database indexes names of up to 2,704 bytes, and takes no row with a longer one.
const longestBytes = 2_048
const takenAtOnce = 500

/** An entry as it is kept: its texts are bounded, for some are what a stranger has sent. */
export function recordedAs(entry: AuditEntry, result: AuditResult = 'done', count = 1): Recorded {
  const { action, actor, object, detail, address, requestId } = entry
  const name = object.name && bounded(object.name)
  return {
    action,
    actor: { id: actor.id, name: bounded(actor.name) },
    object: { kind: object.kind, id: object.id && bounded(object.id), name },
    detail: detail && bounded(detail),
    address,
    requestId,
    namespace: entry.namespace ? bounded(entry.namespace) : namespaceOf({ ...object, name }),
    result,
    count,
  }
}

// PostgreSQL takes no U+0000 in a text, and JSON no half of a surrogate pair.
function bounded(text: string): string {
  const clean = Buffer.from(text.slice(0, longestText).replaceAll('\0', '').toWellFormed())
  let end = Math.min(clean.length, longestBytes)
  // Not in the middle of a character, whose further bytes all begin with 10.
  while (((clean[end] ?? 0) & 0xc0) === 0x80) end--
  return clean.subarray(0, end).toString()
}

/**
 * Records an entry in the open transaction that makes its change; answers whether it did. Whether there is a change the database
 * itself knows: only what writes has an id of a transaction.
 */
export async function recordAudit(sql: Sql, entry: AuditEntry): Promise<boolean> {
  const rows = await sql.prepared(
    'record-audit',
    `insert into audit_outbox (entry)
     select $1::jsonb
     where pg_current_xact_id_if_assigned() is not null
     returning number`,
    [JSON.stringify(recordedAs(entry))],
  )
  return rows.length > 0
}

/** Records what was counted. */
export async function recordCounts(sql: Sql, entries: readonly Recorded[]): Promise<void> {
  if (entries.length === 0) return
  await sql.query('insert into audit_outbox (entry) select jsonb_array_elements($1::jsonb)', [JSON.stringify(entries)])
}

/** Deletes rows that are stored, and answers the next ones, the first first. Again with the same numbers it does no more. */
export async function takeAudit(sql: Sql, { stored }: { stored: number[] }): Promise<{ rows: AuditRow[] }> {
  if (stored.length > 0) await sql.query('delete from audit_outbox where number = any($1::bigint[])', [stored])
  const rows = await sql.query<Omit<AuditRow, 'at'> & { at: Date }>(
    `select number, at, entry
     from audit_outbox
     order by number
     limit $1`,
    [takenAtOnce],
  )
  return { rows: rows.map((row) => ({ ...row, at: row.at.toISOString() })) }
}
