import { toSql } from '@berth/access'
import { badCursor, isUuid, type PageRequest, type Principal, type Sql } from '@berth/service'
import { type Entry, entryColumns } from './entry.ts'

/** Which entries are wanted. An actor and an object are named by id or name. */
export type AuditFilter = {
  actor?: string
  action?: string
  object?: string
  namespace?: string
  result?: string
  since?: string
  until?: string
}

const keyPattern = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ([a-z]+) (\d{1,18})$/

/** The key of an entry in a list, as a cursor has it. */
export function keyOf({ at, service, number }: Entry): string {
  return `${at.toISOString()} ${service} ${number}`
}

function readKey(after: string | undefined): [string | null, string | null, string | null] {
  if (after === undefined) return [null, null, null]
  const [, at = '', service = '', number = ''] = keyPattern.exec(after) ?? []
  const time = new Date(at)
  // JavaScript takes 30 February for 2 March; PostgreSQL fails on it.
  if (Number.isNaN(time.getTime()) || time.toISOString() !== at) throw badCursor()
  return [at, service, number]
}

/** What a caller sees: its own acts, and what happened in namespaces where it has `audit.read`. */
function seenBy({ id, rights }: Principal, first: number): { condition: string; values: unknown[] } {
  const columns = { name: 'namespace', id: 'null::uuid' }
  const { condition, values } = toSql(rights, 'audit.read', 'namespace', columns, first + 1)
  return { condition: `(actor_id = $${first}::uuid or ${condition})`, values: [id, ...values] }
}

/** A page of entries that a caller may see, newest first, and one more. */
export async function listEntries(
  sql: Sql,
  caller: Principal,
  filter: AuditFilter,
  { after, limit }: PageRequest,
): Promise<Entry[]> {
  const { actor, action, object, namespace, result, since, until } = filter
  const seen = seenBy(caller, 13)
  return sql.query<Entry>(
    `select ${entryColumns}
     from audit
     where ($1::timestamptz is null or (at, service, number) < ($1::timestamptz, $2::text, $3::bigint))
       and ($4::text is null or actor = $4 or actor_id = $5::uuid)
       and ($6::text is null or action = $6)
       and ($7::text is null or object = $7 or object_id = $7)
       and ($8::text is null or namespace = $8)
       and ($9::text is null or result = $9)
       and ($10::timestamptz is null or at >= $10)
       and ($11::timestamptz is null or at < $11)
       and ${seen.condition}
     order by at desc, service desc, number desc
     limit $12`,
    [
      ...readKey(after),
      actor ?? null,
      actor !== undefined && isUuid(actor) ? actor : null,
      action ?? null,
      lowerId(object),
      namespace ?? null,
      result ?? null,
      since ?? null,
      until ?? null,
      limit + 1,
      ...seen.values,
    ],
  )
}

/** An id in the case in which it is kept. */
function lowerId(text: string | undefined): string | null {
  return text === undefined ? null : isUuid(text) ? text.toLowerCase() : text
}
