import type { Sql } from '@berth/service'
import type { EventSource } from './events/event.ts'

/** A consumer of a source: what it is done with is kept under both names. */
type Place = { consumer: string; source: EventSource }

/** How far a consumer is done with a source. */
export async function readPosition(sql: Sql, { consumer, source }: Place): Promise<number> {
  const [row] = await sql.query<{ position: number }>(
    'select position from inbox where consumer = $1 and source = $2',
    [consumer, source],
  )
  return row?.position ?? 0
}

/** As `readPosition`, and no other transaction moves it until this one ends. */
export async function lockPosition(sql: Sql, place: Place): Promise<number> {
  const lock = () =>
    sql.prepared<{ position: number }>(
      'lock-position',
      `select position
       from inbox
       where consumer = $1
         and source = $2
       for update`,
      [place.consumer, place.source],
    )
  const [row] = await lock()
  if (row) return row.position
  await sql.query('insert into inbox (consumer, source, position) values ($1, $2, 0) on conflict do nothing', [
    place.consumer,
    place.source,
  ])
  return (await lock())[0]?.position ?? 0
}

/**
 * Notes how far a consumer is done; in the transaction of the effects. Where there were none it is not `flushed`: after a crash of
 * PostgreSQL the events come again, and have none again.
 */
export async function savePosition(
  sql: Sql,
  { consumer, source }: Place,
  position: number,
  { flushed = true } = {},
): Promise<void> {
  const mode = flushed ? "current_setting('synchronous_commit')" : "'off'"
  await sql.prepared(
    flushed ? 'save-position' : 'save-position-unflushed',
    `with committing as (select set_config('synchronous_commit', ${mode}, true))
     update inbox
     set position = $3, handled_at = now()
     from committing
     where consumer = $1
       and source = $2`,
    [consumer, source, position],
  )
}
