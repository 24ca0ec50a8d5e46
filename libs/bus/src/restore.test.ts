import { randomUUID } from 'node:crypto'
import type { Database } from '@berth/service'
import { makeDatabase, type TestDatabase, until } from '@berth/service/testing'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { AckPolicy } from 'nats'
import { type Bus, connectBus, streamOf } from './connection.ts'
import { type ConsumeOptions, startConsumer } from './consume.ts'
import { jumpBeyond } from './jump.ts'
import { makeNats, type NatsFixture } from './nats-server.fixture.ts'
import { effects, log, makeSchema, names, record } from './outbox.fixture.ts'
import { placeEvents, readOutbox } from './outbox.ts'
import { startRelay } from './relay.ts'

const source = 'catalog'
let database: TestDatabase
let nats: NatsFixture
let db: Database
let bus: Bus
let stops: (() => Promise<void>)[] = []

beforeAll(async () => {
  database = await makeDatabase()
})
afterAll(() => database.drop())
beforeEach(async () => {
  nats = await makeNats()
  db = await makeSchema(database.url)
  bus = await connectBus({ url: nats.url, name: 'test', log })
})
afterEach(async () => {
  await stopAll()
  await bus.close()
  await db.close()
  await nats.remove()
})

async function stopAll(): Promise<void> {
  for (const stop of stops.reverse()) await stop()
  stops = []
}
function relay(restored?: string) {
  const started = startRelay({ db, bus, source, log, restored })
  stops.push(() => started.stop())
  return started
}
function consume(more: Partial<ConsumeOptions> = {}) {
  const started = startConsumer({
    db,
    bus,
    log,
    consumer: 'follower',
    source,
    owner: { eventsAfter: (position: number) => readOutbox(db, position) },
    handle: async (sql, event) =>
      void (await sql.query('insert into effect (name) values ($1)', [(event.data as { name: string }).name])),
    pauseAfterFailureMs: 50,
    ...more,
  })
  stops.push(() => started.stop())
  return started
}

const tables = {
  outbox: 'id, position, subject, event, recorded_at, published_at',
  outbox_head: 'position, restored',
  outbox_jump: 'from_position, until, by, made_at',
  inbox: 'consumer, source, position, handled_at',
  effect: 'name',
}
async function backUp(): Promise<void> {
  for (const [table, columns] of Object.entries(tables))
    await db.query(`create table saved_${table} as select ${columns} from ${table}`)
}
/** As an operator does: nothing runs meanwhile, and what is started then connects anew. */
async function restore(meanwhile: () => Promise<void> = async () => {}): Promise<void> {
  await stopAll()
  await bus.close()
  await meanwhile()
  bus = await connectBus({ url: nats.url, name: 'test', log })
  for (const [table, columns] of Object.entries(tables)) {
    await db.query(`delete from ${table}`)
    await db.query(`insert into ${table} (${columns}) select ${columns} from saved_${table}`)
  }
}

async function loseStream(): Promise<void> {
  await nats.stop({ wipe: true })
  await nats.start()
}

type Told = { name: string; sequence: number }
/** All that subscribers can have seen, in the order of the stream. */
async function told(): Promise<Told[]> {
  const manager = await bus.connection.jetstreamManager()
  const { state } = await manager.streams.info(streamOf(source))
  if (state.messages === 0) return []
  const { name } = await manager.consumers.add(streamOf(source), { ack_policy: AckPolicy.None })
  const reader = await bus.jetstream.consumers.get(streamOf(source), name)
  const all: Told[] = []
  const messages = await reader.fetch({ max_messages: state.messages, expires: 2_000 })
  for await (const message of messages) {
    const { data, sequence } = message.json<{ data: { name: string }; sequence: string }>()
    all.push({ name: data.name, sequence: Number(sequence) })
    if (message.info.pending === 0) break
  }
  messages.stop()
  await reader.delete()
  return all
}
const sequenceOf = async (name: string) => (await told()).findLast((one) => one.name === name)?.sequence ?? 0
const isTold = (name: string) => until(async () => (await sequenceOf(name).catch(() => 0)) > 0)
const hasDone = (name: string) => until(async () => (await effects(db)).includes(name))

/** Five events that are in the backup, and five that were announced after it and are lost with the database. */
async function losesFive(): Promise<void> {
  const following = consume()
  relay()
  await record(db, ...names(5))
  await hasDone('e5')
  await isTold('e5')
  await until(async () => (await db.query('select from outbox where published_at is null')).length === 0)
  await backUp()
  await following.stop()
  await record(db, ...names(5, 'lost '))
  await isTold('lost 5')
}

test('after a restore no event comes below what the stream has, and nothing that was lost has an effect', async () => {
  await losesFive()
  await restore()
  consume()
  relay()
  await record(db, ...names(3, 'new '))
  await hasDone('new 3')
  await isTold('new 3')
  expect(await effects(db)).toEqual([...names(5), ...names(3, 'new ')])
  expect(await sequenceOf('new 1')).toBeGreaterThan(10)
  const after = (await told()).filter(({ name }) => name.startsWith('new'))
  expect(after.map(({ sequence }) => sequence - (after[0]?.sequence ?? 0))).toEqual([0, 1, 2])
}, 20_000)

test('so it is when NATS comes back only after the first changes', async () => {
  await losesFive()
  await restore(() => nats.stop())
  const following = consume()
  relay()
  await record(db, ...names(8, 'new '))
  await until(async () => {
    following.catchUp()
    return (await effects(db)).includes('new 8')
  })
  await nats.start()
  await isTold('new 8')
  await record(db, 'later')
  await hasDone('later')
  expect(await effects(db)).toEqual([...names(5), ...names(8, 'new '), 'later'])
  expect(await sequenceOf('new 1')).toBeGreaterThan(10)
}, 20_000)

test('with the stream lost too, a start that is told of the restore goes on 2^32 higher, once for each', async () => {
  await losesFive()
  await restore(loseStream)
  consume()
  relay('first')
  await record(db, ...names(2, 'new '))
  await hasDone('new 2')
  await isTold('new 2')
  const first = await sequenceOf('new 1')
  expect(first).toBeGreaterThan(2 ** 32)
  await stopAll()
  relay('first')
  await record(db, 'next')
  await isTold('next')
  expect(await sequenceOf('next')).toBe(first + 2)
  expect((await effects(db)).slice(0, 7)).toEqual([...names(5), ...names(2, 'new ')])
}, 20_000)

test('a backup that is restored twice does not repeat the sequences that followed the first restore', async () => {
  await losesFive()
  let last = 10
  for (const name of ['first', 'second']) {
    await restore(loseStream)
    relay(name)
    await record(db, name)
    await isTold(name)
    expect(await sequenceOf(name)).toBeGreaterThan(last)
    last = await sequenceOf(name)
  }
  expect(Number.isSafeInteger(last * 1_000)).toBe(true)
}, 20_000)

test('events that were published when we were ended, and not noted as such, are no reason to jump', async () => {
  const first = relay()
  await record(db, ...names(5))
  await isTold('e5')
  await first.stop()
  await db.query('update outbox set published_at = null where position > 2')
  relay()
  await record(db, 'next')
  await isTold('next')
  expect(await sequenceOf('next')).toBe(6)
}, 20_000)

test('what somebody else writes to the stream is no reason to jump', async () => {
  const first = relay()
  await record(db, 'e1')
  await isTold('e1')
  await first.stop()
  await bus.jetstream.publish(`berth.v1.${source}.noise`, '{"sequence":"99"}')
  relay()
  await record(db, 'next')
  await until(async () => (await db.query('select from outbox where published_at is null')).length === 0)
  const { events } = await readOutbox(db, 0)
  expect(events.map(({ position }) => position)).toEqual([1, 2])
}, 20_000)

test('a consumer that was behind at the jump gets what is before it and what is after it', async () => {
  await losesFive()
  await db.query('update saved_inbox set position = 2')
  await db.query(`delete from saved_effect where name > 'e2'`)
  await restore()
  relay()
  await record(db, 'new')
  await isTold('new')
  consume()
  await hasDone('new')
  expect(await effects(db)).toEqual([...names(5), 'new'])
}, 20_000)

test('a consumer that has done events which were lost takes the present state', async () => {
  await losesFive()
  await restore()
  await db.query('update inbox set position = 9')
  relay()
  await record(db, 'new')
  await isTold('new')
  consume({ takeSnapshot: async (sql) => void (await sql.query(`insert into effect (name) values ('snapshot')`)) })
  await hasDone('snapshot')
  await record(db, 'next')
  await db.transaction(placeEvents)
  await hasDone('next')
  expect((await effects(db)).slice(5)).toEqual(['snapshot', 'next'])
}, 20_000)

test('a page that is read while positions jump leaves nothing out', async () => {
  await record(db, ...names(3))
  let head = await db.transaction(placeEvents)
  const over = new AbortController()
  const read = async () => {
    for (let position = 0; !over.signal.aborted; ) {
      const { tooOld, jumpedTo = position } = await readOutbox(db, position)
      expect(tooOld).toBe(false)
      position = jumpedTo
    }
  }
  const reading = Promise.all([read(), read(), read()])
  reading.catch(() => 'told below')
  for (let i = 0; i < 100; i++) {
    const lost = { position: head + 10, id: randomUUID() }
    head = (await db.transaction((sql) => jumpBeyond(sql, lost))) ?? 0
  }
  over.abort()
  await reading
  expect(head).toBeGreaterThan(1_000)
}, 20_000)
