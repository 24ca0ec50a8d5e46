import type { CloudEvent } from '@berth/bus'
import { createSignal, type Sql, type Transaction } from '@berth/service'
import { aboutOf, type Named, tailOf } from './about.ts'
import type { Owners } from './owners.ts'

/** Raised by every transaction that wrote to the log of events. */
export const eventsLogged = createSignal('events logged')

const writing = `
  with head as (
    update event_log_head set last = last + $2
    returning last),
  told as (
    select *
    from jsonb_to_recordset($1::jsonb)
      as told (place integer, source text, type text, tail text, object_kind text, object_id uuid, object_name text,
        object_owner uuid, remote_id uuid, remote_name text, remote_owner uuid, account_id uuid, task_id uuid,
        repositories text[], event jsonb, event_bytes integer))
  insert into event_log
    (id, source, type, tail, object_kind, object_id, object_name, object_owner, remote_id, remote_name, remote_owner,
      account_id, task_id, repositories, event, event_bytes)
  select last - $2 + place, source, type, tail, object_kind, object_id, object_name, object_owner, remote_id, remote_name,
    remote_owner, account_id, task_id,
    case when task_id is null then repositories else array(
      select name from task_object where task = task_id and kind = 'repository') end,
    event, event_bytes
  from head
  cross join told`

/** Writes events into the log, each once and in their order; in the transaction that notes them as handled. */
export async function logEvents(sql: Transaction, events: readonly CloudEvent[], owners: Owners): Promise<void> {
  const rows: object[] = []
  for (const event of events) rows.push({ place: rows.length + 1, ...(await rowOf(sql, event, owners)) })
  await sql.prepared('log-events', writing, [JSON.stringify(rows), rows.length])
  sql.afterCommit(eventsLogged)
}

async function rowOf(sql: Sql, event: CloudEvent, owners: Owners): Promise<object> {
  const { object, remote, accountId, taskId } = aboutOf(event)
  const isNamed = object?.kind === 'repository' || object?.kind === 'distribution'
  return {
    source: event.source.split('/').at(-1),
    type: event.type,
    tail: tailOf(event),
    object_kind: object?.kind,
    object_id: object?.id,
    object_name: object?.name,
    object_owner: object && (await ownerOf(sql, object, owners)),
    remote_id: remote?.id,
    remote_name: remote?.name,
    remote_owner: owners.of(remote),
    account_id: accountId,
    task_id: taskId,
    repositories: isNamed ? [object.name] : [],
    event,
    event_bytes: Buffer.byteLength(JSON.stringify(event)),
  }
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
