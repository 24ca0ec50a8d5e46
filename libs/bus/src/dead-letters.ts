import { type Database, notFound, Problem, type Sql, type Transaction } from '@berth/service'
import type { CloudEvent } from './events/event.ts'

/** An event that a consumer could not handle and has set aside; times in ISO 8601. */
export type DeadLetter = {
  consumer: string
  eventId: string
  type: string
  reason: string
  attempts: number
  buriedAt: string
}
type Name = { consumer: string; eventId: string }

/** What every service answers about the events that it has set aside. */
export type DeadLetterCommands = {
  /** By consumer and event, those after one of them. */
  'list-dead-letters': { request: { after: Name | null; limit: number }; reply: { letters: DeadLetter[] } }
  /** One of them with its event. 404 when there is none. */
  'find-dead-letter': { request: Name; reply: { letter: DeadLetter & { event: CloudEvent } } }
  /** Has the consumer handle the event again, and forgets it when that goes well; else 409 with the reason. */
  'replay-dead-letter': { request: Name; reply: Record<string, never> }
}

const columns = `consumer, event_id as "eventId", event ->> 'type' as type, reason, attempts,
  to_char(buried_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "buriedAt"`

/** Events that were set aside, by consumer and event, without their bodies. */
export async function listDeadLetters(
  sql: Sql,
  { after, limit }: DeadLetterCommands['list-dead-letters']['request'],
): Promise<DeadLetter[]> {
  return sql.query<DeadLetter>(
    `select ${columns}
     from dead_letter
     where $1::text is null or (consumer, event_id) > ($1, $2::uuid)
     order by consumer, event_id
     limit $3`,
    [after?.consumer ?? null, after?.eventId ?? null, limit],
  )
}

/** One of them with its event. Throws 404. */
export async function findDeadLetter(sql: Sql, { consumer, eventId }: Name) {
  const [letter] = await sql.query<DeadLetter & { event: CloudEvent }>(
    `select ${columns}, event
     from dead_letter
     where consumer = $1
       and event_id = $2::uuid`,
    [consumer, eventId],
  )
  if (!letter) throw notFound('dead_letter', eventId)
  return letter
}

/**
 * Handles an event that was set aside once more, in one transaction with its being forgotten: its effect comes once. It comes out of its
 * order, as it did when it was set aside. Throws 409 when it fails again, which is noted.
 */
export async function replayDeadLetter(
  db: Database,
  name: Name,
  handle: (sql: Transaction, event: CloudEvent) => Promise<unknown>,
): Promise<void> {
  const { consumer, eventId } = name
  try {
    await db.transaction(async (sql) => {
      const [row] = await sql.query<{ event: CloudEvent }>(
        `delete from dead_letter
         where consumer = $1
           and event_id = $2::uuid
         returning event`,
        [consumer, eventId],
      )
      if (!row) throw notFound('dead_letter', eventId)
      await handle(sql, row.event)
    })
  } catch (error) {
    if (error instanceof Problem && error.code === 'dead_letter_not_found') throw error
    const reason = error instanceof Error ? error.message : String(error)
    await db.query(
      `update dead_letter
       set attempts = attempts + 1, reason = $3
       where consumer = $1
         and event_id = $2::uuid`,
      [consumer, eventId, reason],
    )
    throw new Problem(409, 'still_fails', `The event fails again: ${reason}`, {
      hint: 'Mend what it meets first; it stays until it can be handled, or until its time is over.',
      cause: error,
    })
  }
}
