import { badCursor, type Database, isUuid, notFound, type PageRequest, type Principal, Problem } from '@berth/service'
import { seesAllOf } from '../event-log/seen-events.ts'
import { deliveriesMade, mostWaiting } from './make-deliveries.ts'
import type { Webhook } from './webhook.ts'

/** How long what was sent and answered is kept, in days; it can be sent again for as long. */
const deliveryKeptDays = 7
// So that who asks for one later hears that it is too old, and not that there never was one.
const rowKeptDays = 14

type DeliveryRow = {
  id: string
  seq: number
  eventId: number | null
  type: string
  replayOf: string | null
  state: string
  tries: number
  nextAt: Date
  status: number | null
  error: string | null
  createdAt: Date
  finishedAt: Date | null
}
type TryRow = {
  accountId: string | null
  at: Date
  durationMs: number
  requestHeaders: Record<string, string>
  requestBody: string
  status: number | null
  responseHeaders: Record<string, string> | null
  responseBody: string | null
  error: string | null
}

const columns = `id, seq, event as "eventId", type, replay_of as "replayOf", state, tries, next_at as "nextAt", status, error,
  created_at as "createdAt", finished_at as "finishedAt"`

/** A page of the deliveries of a webhook, newest first, and one more. */
export async function listDeliveries(
  db: Database,
  { id }: Pick<Webhook, 'id'>,
  { after, limit }: PageRequest,
  state: string | undefined,
): Promise<DeliveryRow[]> {
  if (after !== undefined && !/^\d{1,18}$/.test(after)) throw badCursor()
  return db.query<DeliveryRow>(
    `select ${columns}
     from webhook_delivery
     where webhook_id = $1
       and ($2::bigint is null or seq < $2)
       and ($3::text is null or state = $3)
     order by seq desc
     limit $4`,
    [id, after ?? null, state ?? null, limit + 1],
  )
}

/**
 * A delivery of a webhook with its tries. What was sent by the rights of another account is shown where the caller may see all of that event
 * too, and so is the answer, which may repeat it. Throws 404.
 */
export async function findDelivery(db: Database, caller: Principal, webhook: Pick<Webhook, 'id'>, id: string) {
  const row = await findRow(db, webhook, id)
  const tries = await db.query<TryRow>(
    `select account_id as "accountId", at, duration_ms as "durationMs", request_headers as "requestHeaders",
       request_body as "requestBody", status, response_headers as "responseHeaders", response_body as "responseBody", error
     from webhook_try
     where delivery = $1
     order by number`,
    [id],
  )
  const isOpen = row.eventId === null || (await seesAllOf(db, caller, row.eventId))
  const attempts = tries.map(({ at, accountId, ...more }) => ({
    at: at.toISOString(),
    ...more,
    ...(isOpen || accountId === caller.id ? {} : hidden),
  }))
  return { ...showDelivery(row), attempts }
}

const hidden = { requestHeaders: {}, requestBody: '', responseHeaders: null, responseBody: null }

async function findRow(
  db: Database,
  webhook: Pick<Webhook, 'id'>,
  id: string,
): Promise<DeliveryRow & { isOld: boolean }> {
  const [row] = isUuid(id)
    ? await db.query<DeliveryRow & { isOld: boolean }>(
        `select ${columns}, created_at < now() - make_interval(days => $3) as "isOld"
         from webhook_delivery
         where id = $1
           and webhook_id = $2`,
        [id, webhook.id, deliveryKeptDays],
      )
    : []
  if (!row) throw notFound('delivery', id)
  return row
}

/** Has what was sent once sent again, as a delivery of its own. Throws 404, and 410 where the event is no longer kept. */
export async function replayDelivery(db: Database, webhook: Webhook, id: string) {
  const before = await findRow(db, webhook, id)
  const tooOld = () =>
    new Problem(410, 'delivery_too_old', `What was sent more than ${deliveryKeptDays} days ago is no longer kept.`, {
      hint: 'Look at what is there by the API.',
    })
  if (before.isOld) throw tooOld()
  if (!webhook.active)
    throw new Problem(409, 'webhook_inactive', `${webhook.name} sends nothing now.`, {
      hint: 'Set active to true first.',
    })
  await requireRoom(db, webhook)
  const made = await db.transaction((sql) => {
    sql.afterCommit(deliveriesMade)
    return sql.query<DeliveryRow>(
      `insert into webhook_delivery (webhook_id, event, type, replay_of)
       select webhook_id, event, type, id
       from webhook_delivery
       where id = $1
         and (event is null or exists (select from event_log where event_log.id = webhook_delivery.event))
       returning ${columns}`,
      [id],
    )
  })
  const [row] = made
  if (!row) throw tooOld()
  return showDelivery(row)
}

async function requireRoom(db: Database, { id, name }: Pick<Webhook, 'id' | 'name'>): Promise<void> {
  const [row] = await db.query<{ count: number }>(
    `select count(*)::integer as count from webhook_delivery where webhook_id = $1 and state = 'waiting'`,
    [id],
  )
  if ((row?.count ?? 0) >= mostWaiting)
    throw new Problem(409, 'too_many_deliveries', `${row?.count} deliveries of ${name} wait.`, {
      hint: 'Ask again when some of them have been sent.',
    })
}

/** Sends a webhook an event that is for it alone, once, whether it is active or not. */
export async function testWebhook(db: Database, webhook: Pick<Webhook, 'id' | 'name'>) {
  await requireRoom(db, webhook)
  const [row] = await db.transaction((sql) => {
    sql.afterCommit(deliveriesMade)
    return sql.query<DeliveryRow>(
      `insert into webhook_delivery (webhook_id, type) values ($1, 'tasks.webhook.tested') returning ${columns}`,
      [webhook.id],
    )
  })
  if (!row) throw new Error('a test was not made')
  return showDelivery(row)
}

/** How the API shows a delivery. */
export function showDelivery(row: DeliveryRow) {
  const { nextAt, createdAt, finishedAt, eventId } = row
  const { id, type, replayOf, state, tries, status, error } = row
  return {
    id,
    eventId: eventId === null ? null : String(eventId),
    type,
    replayOf,
    state,
    tries,
    nextTry: state === 'waiting' ? nextAt.toISOString() : null,
    status,
    error,
    createdAt: createdAt.toISOString(),
    finishedAt: finishedAt?.toISOString() ?? null,
  }
}

const rowsAtOnce = 5_000

/** Forgets what was sent and answered more than seven days ago, and a week later that it was. */
export async function forgetDeliveries(db: Database, signal: AbortSignal): Promise<void> {
  const tries = `
    delete from webhook_try
    where ctid = any(array(
      select ctid
      from webhook_try
      where at < now() - make_interval(days => $1)
      limit $2))
    returning 1`
  const rows = `
    delete from webhook_delivery
    where id = any(array(
      select id
      from webhook_delivery
      where created_at < now() - make_interval(days => $1)
      order by seq
      limit $2))
    returning 1`
  for (const [statement, days] of [
    [tries, deliveryKeptDays],
    [rows, rowKeptDays],
  ] as const)
    while (!signal.aborted && (await db.query(statement, [days, rowsAtOnce])).length === rowsAtOnce);
}
