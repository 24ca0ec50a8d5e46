import { createSignal, namespaceOf, noteAudit, type Sql, type Transaction } from '@berth/service'
import { recordedTraceparent } from '@berth/tracing'
import { tagsMoved, versionCreated } from './events/catalog.ts'
import { eventLimitBytes, type NewEvent, subjectOf, toCloudEvent } from './events/event.ts'

/** Raised by every transaction that recorded events: whether others decide by one of them, and so do not like to wait for it. */
export const eventsRecorded = createSignal<{ isUrgent: boolean }>('events recorded')

// What pushes and syncs make by the hundred. Nobody decides by it.
const unhurried: ReadonlySet<string> = new Set([versionCreated.name, tagsMoved.name])

/**
 * Writes events into the outbox, in the transaction that makes the change they tell of. They are announced once that
 * transaction is committed, and never when it is not; its commit wakes the relay.
 */
export async function recordEvents(sql: Transaction, events: readonly NewEvent[]): Promise<void> {
  if (events.length === 0) return
  sql.afterCommit(eventsRecorded, { isUrgent: events.some(({ kind }) => !unhurried.has(kind.name)) })
  noteObject(events)
  const traceparent = recordedTraceparent()
  const rows = events.map((event) => {
    const envelope = toCloudEvent(event, traceparent)
    const json = JSON.stringify(envelope)
    if (Buffer.byteLength(json) > eventLimitBytes)
      throw new RangeError(`event ${envelope.type} is larger than ${eventLimitBytes} bytes`)
    return { id: envelope.id, subject: subjectOf(event.kind, event.repositoryId), json }
  })
  await sql.prepared(
    'record-events',
    `insert into outbox (id, subject, event)
     select id, subject, event
     from unnest($1::uuid[], $2::text[], $3::jsonb[]) with ordinality as row (id, subject, event, place)
     order by place`,
    [rows.map((row) => row.id), rows.map((row) => row.subject), rows.map((row) => row.json)],
  )
}

/** Tells the audit trail which object it is: who makes one knows its id here, and who was sent an id knows the name. */
function noteObject(events: readonly NewEvent[]): void {
  for (const { kind, data } of events) {
    const { id, repositoryId, name, basePath, on, to, role, robot } = data as Told
    const [entity = ''] = kind.name.split('.')
    if (repositoryId && name) noteAudit({ object: { kind: 'repository', id: repositoryId, name } })
    else if (id)
      noteAudit({
        object: { kind: entity, id, name: name ?? basePath ?? on ?? null },
        ...grantedTo({ to, role }),
        ...ofRobot({ robot }),
      })
  }
}

/** Fields by which events tell what was changed. */
type Told = Partial<Record<'id' | 'repositoryId' | 'name' | 'basePath' | 'on' | 'role', string | null>> & {
  to?: { kind: string; name: string } | string
  robot?: { name: string }
}

/** What stands for a robot is its namespace's. */
function ofRobot({ robot }: Told): { namespace?: string | null } {
  return robot ? { namespace: namespaceOf({ kind: 'robot', id: null, name: robot.name }) } : {}
}

function grantedTo({ to, role }: Told): { detail?: string } {
  return role && typeof to === 'object' ? { detail: `${role} to ${to.kind} ${to.name}` } : {}
}

export type OutboxRow = { id: string; position: number; subject: string; event: Record<string, unknown> }

/**
 * Gives every committed row a position, in the order in which the rows became visible, under one row lock. Done before
 * publishing and without NATS, so that a consumer can always catch up from here. Answers the last position.
 */
export async function placeEvents(sql: Sql): Promise<number> {
  const [head] = await sql.query<{ position: number }>('select position from outbox_head for update')
  const [placed] = await sql.query<{ position: number | null }>(
    `with unplaced as (
       select id, row_number() over (order by seq) as place
       from outbox
       where position is null),
     placed as (
       update outbox
       set position = $1 + place
       from unplaced
       where outbox.id = unplaced.id
       returning outbox.position)
     select max(position) as position
     from placed`,
    [head?.position ?? 0],
  )
  const last = placed?.position ?? head?.position ?? 0
  if (placed?.position) await sql.query('update outbox_head set position = $1', [last])
  return last
}

const catchUpRows = 500
const catchUpBytes = 4 << 20

/** Events after a position. */
export type OutboxPage = {
  events: OutboxRow[]
  /** Some of them are no longer kept, or the consumer has done events that were lost with a database. */
  tooOld: boolean
  head: number
  /** The position that the consumer's own has become by a jump (jump.ts); it has to ask for what follows that. */
  jumpedTo?: number
}

// In one statement, which sees one moment: a jump between two of them would seem to have left events out.
const pageAfter = `
  with head as (
    select position
    from outbox_head),
  last as (
    select from_position, until, by
    from outbox_jump
    where from_position <= $1
    order by from_position desc
    limit 1),
  bound as (
    select coalesce((select min(from_position) from outbox_jump where from_position > $1), position) as position
    from head),
  next as (
    select id, position, event_bytes
    from outbox
    where position > $1
      and position <= (select position from bound)
    order by position
    limit $2),
  summed as (
    select id, position, sum(event_bytes) over (order by position) - event_bytes as before
    from next),
  page as (
    select id, position, subject, event
    from summed
    join outbox using (id, position)
    where before < $3)
  select head.position as head, bound.position as bound, last.from_position as "jumpFrom", last.until as "jumpUntil",
    last.by as "jumpBy", page.id, page.position, page.subject, page.event
  from head
  cross join bound
  left join last on true
  left join page on true
  order by page.position`

/** What every service answers to those that follow its events. */
export type EventCommands = { 'list-events': { request: { after: number }; reply: OutboxPage } }

type PageRow = { head: number; bound: number } & (OutboxRow | { id: null }) &
  ({ jumpFrom: number; jumpUntil: number; jumpBy: number } | { jumpFrom: null })

/** Events after a position, for a consumer that catches up; those of one page stand on one side of a jump. */
export async function readOutbox(sql: Sql, after: number): Promise<OutboxPage> {
  const rows = await sql.query<PageRow>(pageAfter, [after, catchUpRows, catchUpBytes])
  const [first] = rows
  if (!first) return { events: [], tooOld: false, head: 0 }
  const { head, bound } = first
  if (first.jumpFrom !== null && after < first.jumpFrom + first.jumpBy) {
    if (after <= first.jumpUntil) return { events: [], tooOld: false, head, jumpedTo: after + first.jumpBy }
    // It has done events that were lost with a database, so it knows more, and other things, than there are.
    return { events: [], tooOld: true, head }
  }
  const events = rows.flatMap((row) =>
    row.id === null ? [] : [{ id: row.id, position: row.position, subject: row.subject, event: row.event }],
  )
  return { events, tooOld: after < bound && events[0]?.position !== after + 1, head }
}

/** Deletes events that were set aside so many days ago. */
export async function pruneDeadLetters(sql: Sql, days: number): Promise<void> {
  await sql.query('delete from dead_letter where buried_at < now() - make_interval(days => $1)', [days])
}

const keptDays = 7

/** Deletes what was published more than seven days ago. What was never published is kept until it is. */
export async function pruneOutbox(sql: Sql): Promise<void> {
  await sql.query(`delete from outbox where published_at < now() - make_interval(days => $1)`, [keptDays])
}
