import type { CloudEvent } from '@berth/bus'
import { createSignal, type Sql, type Transaction } from '@berth/service'
import { aboutOf, type Named, tailOf } from './about.ts'
import type { Owners } from './owners.ts'

/** Raised by every transaction that wrote to the log of events. */
export const eventsLogged = createSignal('events logged')

const writing = `
  with head as (
    update event_log_head set last = last + 1
    returning last)
  insert into event_log
    (id, source, type, tail, object_kind, object_id, object_name, object_owner, remote_id, remote_name, remote_owner,
      account_id, task_id, repositories, event, event_bytes)
  select last, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::uuid,
    case when $12::uuid is null then $13::text[] else array(
      select name from task_object where task = $12::uuid and kind = 'repository') end,
    $14::jsonb, $15
  from head`

/** Writes an event into the log, once; in the transaction that notes it as handled. */
export async function logEvent(sql: Transaction, event: CloudEvent, owners: Owners): Promise<void> {
  const { object, remote, accountId = null, taskId = null } = aboutOf(event)
  const isNamed = object?.kind === 'repository' || object?.kind === 'distribution'
  const json = JSON.stringify(event)
  await sql.prepared('log-event', writing, [
    event.source.split('/').at(-1),
    event.type,
    tailOf(event),
    object?.kind ?? null,
    object?.id ?? null,
    object?.name ?? null,
    object ? await ownerOf(sql, object, owners) : null,
    remote?.id ?? null,
    remote?.name ?? null,
    owners.of(remote),
    accountId,
    taskId,
    isNamed ? [object.name] : [],
    json,
    Buffer.byteLength(json),
  ])
  sql.afterCommit(eventsLogged)
}

async function ownerOf(sql: Sql, object: Named, owners: Owners): Promise<string | null> {
  if (object.kind !== 'schedule' && object.kind !== 'webhook') return owners.of(object)
  const [row] = await sql.query<{ ownerId: string | null }>(
    `select owner_id as "ownerId" from ${object.kind} where id = $1`,
    [object.id],
  )
  return row?.ownerId ?? null
}

const keptDays = 7
const rowsAtOnce = 5_000

/** Forgets what was logged more than seven days ago; answers how many events that were. */
export async function forgetEvents(sql: Sql, signal: AbortSignal): Promise<number> {
  for (let forgotten = 0; ; ) {
    signal.throwIfAborted()
    const gone = await sql.query(
      `with oldest as (
         select id, logged_at
         from event_log
         order by id
         limit $1)
       delete from event_log
       using oldest
       where event_log.id = oldest.id
         and oldest.logged_at < now() - make_interval(days => $2)
       returning event_log.id`,
      [rowsAtOnce, keptDays],
    )
    forgotten += gone.length
    if (gone.length < rowsAtOnce) return forgotten
  }
}
