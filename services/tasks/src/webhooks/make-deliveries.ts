import { createSignal, type Database, type Transaction } from '@berth/service'
import { recreateFilter } from '../event-log/filter.ts'
import { eventsSeenBy } from '../event-log/seen-events.ts'
import type { Accounts } from './accounts.ts'
import { disableWebhook } from './change-webhooks.ts'
import { scopeOf, type Webhook } from './webhook.ts'

/** Raised by every transaction after which something is to be sent. */
export const deliveriesMade = createSignal('deliveries made')

const windowRows = 1_000
/** How many deliveries of a webhook may wait. */
export const mostWaiting = 10_000

type Hook = Pick<Webhook, 'id' | 'name' | 'events' | 'repositories' | 'accountId' | 'since'>
type Logged = { id: number; tail: string; repositories: string[]; objectName: string | null }
type Wanted = { hook: Hook; events: number[] }

/**
 * Makes the deliveries of a stretch of the log of events; answers whether there may be more. Who may see what is asked before the
 * transaction; that moves the place on only from where it was, so that of several replicas one makes them.
 */
export async function makeDeliveries(db: Database, accounts: Accounts): Promise<boolean> {
  const [at] = await db.prepared<{ place: number; head: number }>(
    'webhook-place',
    `select webhook_place.last as place, event_log_head.last as head
     from webhook_place
     cross join event_log_head`,
    [],
  )
  if (!at || at.place >= at.head) return false
  const until = Math.min(at.place + windowRows, at.head)
  const hooks = await db.query<Hook>(
    `select id, name, events, repositories, account_id as "accountId", since
     from webhook
     where active
     order by id`,
  )
  const wanted = hooks.length === 0 ? [] : await findWanted(db, accounts, hooks, { after: at.place, until })
  const tooMany = await findOverfull(db, wanted)
  await db.transaction(async (sql) => {
    const moved = await sql.query(
      `update webhook_place
       set last = $2
       where last = $1
       returning last`,
      [at.place, until],
    )
    if (moved.length === 0) return
    // Lost in a crash of PostgreSQL, the place is found again with nothing to deliver.
    if (wanted.length === 0) await sql.query("select set_config('synchronous_commit', 'off', true)")
    for (const id of tooMany) await disableWebhook(sql, id, `${mostWaiting} deliveries wait, which is the most`)
    await insertDeliveries(
      sql,
      wanted.filter(({ hook }) => !tooMany.has(hook.id)),
    )
  })
  return true
}

async function findWanted(
  db: Database,
  accounts: Accounts,
  hooks: readonly Hook[],
  { after, until }: { after: number; until: number },
): Promise<Wanted[]> {
  const events = await db.query<Logged>(
    `select id, tail, repositories, object_name as "objectName"
     from event_log
     where id > $1
       and id <= $2
     order by id`,
    [after, until],
  )
  const wanted: Wanted[] = []
  for (const hook of hooks) {
    const filter = recreateFilter(hook)
    const scope = scopeOf(hook)
    const ids = events
      .filter((event) => event.id > hook.since && isIn(scope, event) && filter(event))
      .map(({ id }) => id)
    const seen = ids.length === 0 ? [] : await seenBy(db, accounts, hook.accountId, ids)
    if (seen.length > 0) wanted.push({ hook, events: seen })
  }
  return wanted
}

/** Whether an event is about what lies beside a webhook: its namespace, or a name below it. */
function isIn(scope: string, { objectName, repositories }: Logged): boolean {
  const names = objectName === null ? repositories : [objectName, ...repositories]
  return scope === '' || names.some((name) => name.startsWith(scope) || `${name}/` === scope)
}

/** Of some events those that an account may see now. Of one that is gone, all: what sends them finds that, and says so. */
export async function seenBy(db: Database, accounts: Accounts, accountId: string, ids: number[]): Promise<number[]> {
  const caller = await accounts(accountId)
  if (!caller) return ids
  const seen = eventsSeenBy(caller, 2)
  const rows = await db.query<{ id: number }>(
    `select id
     from event_log
     where id = any($1::bigint[])
       and ${seen.condition}
     order by id`,
    [ids, ...seen.values],
  )
  return rows.map(({ id }) => id)
}

async function findOverfull(db: Database, wanted: readonly Wanted[]): Promise<Set<string>> {
  if (wanted.length === 0) return new Set()
  const rows = await db.query<{ id: string }>(
    `select webhook_id as id
     from webhook_delivery
     where state = 'waiting'
       and webhook_id = any($1::uuid[])
     group by webhook_id
     having count(*) >= $2`,
    [wanted.map(({ hook }) => hook.id), mostWaiting],
  )
  return new Set(rows.map(({ id }) => id))
}

async function insertDeliveries(sql: Transaction, wanted: readonly Wanted[]): Promise<void> {
  const rows = wanted.flatMap(({ hook, events }) => events.map((event) => ({ hook: hook.id, event })))
  if (rows.length === 0) return
  // One that was deleted meanwhile hears of nothing.
  await sql.query(
    `insert into webhook_delivery (webhook_id, event, type)
     select webhook.id, event_log.id, event_log.tail
     from unnest($1::uuid[], $2::bigint[]) with ordinality as made (webhook, event, place)
     join webhook on webhook.id = made.webhook
     join event_log on event_log.id = made.event
     order by made.place`,
    [rows.map(({ hook }) => hook), rows.map(({ event }) => event)],
  )
  sql.afterCommit(deliveriesMade)
}
