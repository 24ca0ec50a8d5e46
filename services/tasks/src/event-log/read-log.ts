import type { Principal, Sql } from '@berth/service'
import { objectsOf } from '../visible.ts'
import type { EventFilter } from './filter.ts'
import { eventsSeenBy, type LoggedEvent, loggedColumns, showEvent } from './seen-events.ts'

const windowRows = 2_000
const pageRows = 200
const pageBytes = 4 << 20

type Key = { id: number; tail: string; repositories: string[]; bytes: number }

/** A page of events after a place in the log, and how far it has looked. */
export type LogPage = { events: { id: number; type: string; json: string }[]; readTo: number; head: number }

/** Where the log ends, and the last place whose events are no longer kept. */
export async function readBounds(sql: Sql): Promise<{ head: number; gone: number }> {
  const [bounds] = await sql.prepared<{ head: number; oldest: number | null }>(
    'log-bounds',
    'select last as head, (select min(id) from event_log) as oldest from event_log_head',
    [],
  )
  const head = bounds?.head ?? 0
  return { head, gone: (bounds?.oldest ?? head + 1) - 1 }
}

/**
 * Events after a place that a caller hears of and a filter lets through, as the caller may see them. It looks at 2,000 events at most, and
 * answers 200 or 4 MiB of them: who hears of few asks again.
 */
export async function readLog(
  sql: Sql,
  caller: Principal,
  { after, head, filter }: { after: number; head: number; filter: EventFilter },
): Promise<LogPage> {
  const until = Math.min(after + windowRows, head)
  const seen = eventsSeenBy(caller, 3)
  const keys = await sql.query<Key>(
    `select id, tail, repositories, event_bytes as bytes
     from event_log
     where id > $1
       and id <= $2
       and ${seen.condition}
     order by id`,
    [after, until, ...seen.values],
  )
  const passing = keys.filter(filter)
  const page = fit(passing)
  const events = await readEvents(sql, caller, page)
  return { events, readTo: page.length < passing.length ? (page.at(-1) ?? until) : until, head }
}

function fit(keys: readonly Key[]): number[] {
  const ids: number[] = []
  let bytes = 0
  for (const key of keys) {
    bytes += key.bytes
    if (ids.length > 0 && (ids.length === pageRows || bytes > pageBytes)) break
    ids.push(key.id)
  }
  return ids
}

async function readEvents(sql: Sql, caller: Principal, ids: readonly number[]): Promise<LogPage['events']> {
  if (ids.length === 0) return []
  const rows = await sql.query<LoggedEvent>(
    `select ${loggedColumns}
     from event_log
     where id = any($1::bigint[])
     order by id`,
    [ids],
  )
  const tasks = rows.flatMap(({ taskId }) => (taskId === null ? [] : [taskId]))
  const objects = tasks.length > 0 ? await objectsOf(sql, tasks) : new Map()
  return rows.map((row) => {
    const event = showEvent(caller, row, objects)
    return { id: row.id, type: event.type, json: JSON.stringify(event) }
  })
}
