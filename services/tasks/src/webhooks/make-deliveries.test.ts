import { randomUUID } from 'node:crypto'
import { adminRights } from '@berth/access'
import { catalogEvents, typeOf } from '@berth/bus'
import { type Database, openDatabase, type Principal } from '@berth/service'
import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { logEvents } from '../event-log/log-event.ts'
import { createOwners } from '../event-log/owners.ts'
import { type StartedTasks, startTasks } from '../testing/started.fixture.ts'
import { claimDeliveries } from './claim.ts'
import { makeDeliveries } from './make-deliveries.ts'
import { recordOutcome } from './record-outcome.ts'

let database: TestDatabase
let replicas: Database[]
let db: Database
const admin: Principal = { id: randomUUID(), name: 'admin', admin: true, rights: adminRights(randomUUID()) }
const accounts = async () => admin
const nobodyAsked = {
  rows: () => {
    throw new Error('nobody is asked')
  },
} as never
const owners = createOwners({ catalog: nobodyAsked, sync: nobodyAsked })

beforeAll(async () => {
  database = await makeDatabase()
  // Its schema is there then, and nothing of it works on what the tests make.
  const once: StartedTasks = await startTasks(database.url)
  await once.stop()
  replicas = Array.from({ length: 4 }, () => openDatabase({ url: database.url, schema: 'tasks' }))
  db = replicas[0] as Database
})
afterAll(async () => {
  await Promise.all((replicas ?? []).map((one) => one.close()))
  await database?.drop()
})
beforeEach(() => db.query('delete from webhook'))

async function log(count: number): Promise<void> {
  const events = Array.from({ length: count }, (_, n) => ({
    specversion: '1.0' as const,
    id: randomUUID(),
    source: '/services/catalog',
    type: typeOf(catalogEvents.repositoryCreated),
    time: new Date().toISOString(),
    datacontenttype: 'application/json' as const,
    data: { repositoryId: randomUUID(), name: `team/${n}`, description: '', labels: {}, ownerId: null },
  }))
  await db.transaction((sql) => logEvents(sql, events, owners))
}
async function hook(name = 'team/hook'): Promise<string> {
  const [row] = await db.query<{ id: string }>(
    `insert into webhook
       (id, name, url, events, repositories, sealed_secret, account_id, account, origin, since, created_by)
     values (gen_random_uuid(), $1, 'https://example.org/', '{}', '{}', '', gen_random_uuid(), 'ann', 'https://example.org',
       (select last from event_log_head), 'ann')
     returning id`,
    [name],
  )
  return row?.id ?? ''
}
const made = (id: string) =>
  db.query<{ event: number }>('select event from webhook_delivery where webhook_id = $1 order by seq', [id])

test('each event is sent for once, in its order, however many replicas make deliveries', async () => {
  const id = await hook()
  await log(2_500)
  await Promise.all(
    replicas.map(async (replica) => {
      while (await makeDeliveries(replica, accounts));
    }),
  )
  const events = (await made(id)).map(({ event }) => event)
  expect(events).toHaveLength(2_500)
  expect(events).toEqual([...new Set(events)].sort((a, b) => a - b))
})

test('a webhook for events of another release hears of those that there are, and keeps nobody else waiting', async () => {
  const [old, other] = [await hook('team/old'), await hook('team/other')]
  await db.query(`update webhook set events = '{catalog.of.old,catalog.repository.*}' where id = $1`, [old])
  await log(3)
  while (await makeDeliveries(db, accounts));
  expect([await made(old), await made(other)].map(({ length }) => length)).toEqual([3, 3])
})

test('a place that was moved meanwhile is not moved again: what was to be made is made by the other one', async () => {
  const id = await hook()
  await log(10)
  let asked = 0
  const slow = async () => {
    // The other one is done while this one asks who the account is.
    if (asked++ === 0) while (await makeDeliveries(replicas[1] as Database, accounts));
    return admin
  }
  while (await makeDeliveries(db, slow));
  expect(await made(id)).toHaveLength(10)
})

test('of each webhook two are sent at a time, and no delivery is in two hands', async () => {
  const [one, other] = [await hook('team/one'), await hook('team/other')]
  await log(50)
  while (await makeDeliveries(db, accounts));
  const claimed = (await Promise.all(replicas.map((replica) => claimDeliveries(replica, 10, false)))).flat()
  expect(new Set(claimed.map(({ id }) => id)).size).toBe(claimed.length)
  const left = await claimDeliveries(db, 100, false)
  const all = [...claimed, ...left]
  for (const id of [one, other]) expect(all.filter(({ webhookId }) => webhookId === id)).toHaveLength(2)
})

test('webhooks that fail are taken apart, so that however many hang the others have room', async () => {
  const [failing, good] = [await hook('team/failing'), await hook('team/good')]
  await db.query('update webhook set failing_since = now() where id = $1', [failing])
  await log(5)
  while (await makeDeliveries(db, accounts));
  const hooks = async (ofFailing: boolean) =>
    (await claimDeliveries(db, 1, ofFailing)).map(({ webhookId }) => webhookId)
  expect(await hooks(false)).toEqual([good])
  expect(await hooks(true)).toEqual([failing])
})

test.each([
  ['receivers that take their time leave', false, 32],
  ['receivers that hang leave', true, 16],
])('however many webhooks a namespace has, its %s room for those of others', async (_, isFailing, most) => {
  const slow = await Promise.all(Array.from({ length: 40 }, (__, n) => hook(`team/slow-${n}`)))
  const other = await hook('other')
  await log(3)
  while (await makeDeliveries(db, accounts));
  if (isFailing) await db.query('update webhook set failing_since = now()')
  await db.query(`update webhook_delivery set next_at = now() - interval '1 hour' where webhook_id = any($1)`, [slow])
  const claim = async () => (await claimDeliveries(db, 50, isFailing)).map(({ webhookId }) => webhookId)
  const first = await claim()
  expect(first.filter((id) => id !== other)).toHaveLength(most)
  expect(first).toContain(other)
  expect(await claim()).toEqual([])
})

test('what a try came to is noted by its holder alone: not when its lease has ended and another one holds it', async () => {
  await hook()
  await log(1)
  while (await makeDeliveries(db, accounts));
  const [first] = await claimDeliveries(db, 10, false)
  if (!first) throw new Error('nothing is due')
  await db.query(`update webhook_delivery set leased_until = now() - interval '1 second' where id = $1`, [first.id])
  const [second] = await claimDeliveries(db, 10, false)
  if (!second) throw new Error('nothing is due')
  const good = { accountId: randomUUID(), durationMs: 1, requestHeaders: {}, requestBody: '', status: 204 }
  const bad = { ...good, status: 500, error: 'it answered 500' }
  await recordOutcome(db, first, { is: 'tried', tried: bad }, [0, 60])
  expect(await db.query('select tries, state from webhook_delivery where id = $1', [first.id])).toEqual([
    { tries: 0, state: 'waiting' },
  ])
  await recordOutcome(db, second, { is: 'tried', tried: good }, [0, 60])
  expect(await db.query('select tries, state from webhook_delivery where id = $1', [first.id])).toMatchObject([
    { state: 'delivered' },
  ])
})

test('a webhook for which 10,000 deliveries wait is disabled, and says so', async () => {
  const id = await hook()
  await log(1)
  while (await makeDeliveries(db, accounts));
  await db.query(
    `insert into webhook_delivery (webhook_id, event, type)
     select webhook_id, event, type
     from webhook_delivery
     cross join generate_series(1, 10000)`,
  )
  await log(1)
  while (await makeDeliveries(db, accounts));
  expect(await db.query('select active, disabled_because from webhook where id = $1', [id])).toEqual([
    { active: false, disabled_because: '10000 deliveries wait, which is the most' },
  ])
})
