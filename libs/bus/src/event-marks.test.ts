import { setTimeout as pause } from 'node:timers/promises'
import type { Database } from '@berth/service'
import { makeDatabase, privateKeyOf, publicKeys, type TestDatabase, until } from '@berth/service/testing'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { AckPolicy } from 'nats'
import { type Bus, connectBus, ensureEventStream, streamOf } from './connection.ts'
import { startConsumer } from './consume.ts'
import { createEventCheck, createEventMarks } from './event-marks.ts'
import { type EventSource, eventSources } from './events/event.ts'
import { makeNats, type NatsFixture } from './nats-server.fixture.ts'
import { makeNatsUser, natsUsers } from './nats-users.ts'
import { effects, log, makeSchema, names, record } from './outbox.fixture.ts'
import { readOutbox } from './outbox.ts'
import { startRelay } from './relay.ts'

const keysOf = (name: EventSource) => ({ privateKey: privateKeyOf(name), publicKeys })
const text = '{"sequence":"1","data":{}}'

describe('a mark', () => {
  const marks = createEventMarks('catalog', keysOf('catalog'))(text)
  const check = createEventCheck({ source: 'catalog', follower: 'registry' }, keysOf('registry'))

  test('is believed by each of those who follow the service', () => {
    expect(check(text, marks)).toBe(true)
    expect(createEventCheck({ source: 'catalog', follower: 'auth' }, keysOf('auth'))(text, marks)).toBe(true)
  })

  test.each<[string, string, string | undefined]>([
    ['of another text', `${text} `, marks],
    ['that is none', text, undefined],
    ['that is empty', text, ''],
    [
      'cut short',
      text,
      marks
        .split(',')
        .map((one) => one.slice(0, -5))
        .join(),
    ],
    [
      'of others only',
      text,
      marks
        .split(',')
        .filter((one) => !check(text, one))
        .join(),
    ],
    ['by another service', text, createEventMarks('catalog', keysOf('sync'))(text)],
    ['by another one that follows too', text, createEventMarks('catalog', keysOf('auth'))(text)],
    ['of what that service hears', text, createEventMarks('sync', keysOf('catalog'))(text)],
  ])('%s is not believed', (_title, what, given) => expect(check(what, given)).toBe(false))
})

describe('what another service has delivered into the stream', () => {
  let database: TestDatabase
  let db: Database
  let nats: NatsFixture
  const buses = new Map<EventSource, Bus>()
  const busOf = (name: EventSource) => buses.get(name) as Bus
  beforeAll(async () => {
    database = await makeDatabase()
    db = await makeSchema(database.url)
    const users = eventSources.map((name) => ({ name, ...makeNatsUser() }))
    const known = Object.fromEntries(users.map(({ name, publicKey }) => [name, publicKey]))
    nats = await makeNats(natsUsers(known as Record<EventSource, string>, makeNatsUser().publicKey))
    for (const { name, seed } of users) buses.set(name, await connectBus({ url: nats.url, name, seed, log }))
  }, 30_000)
  afterAll(async () => {
    await Promise.all([...buses.values()].map((bus) => bus.close()))
    await db?.close()
    await nats?.remove()
    await database?.drop()
  })

  /** Has a message of sync delivered to a subject that it may not publish to, as whoever asks for messages names where they go. */
  async function deliverTo(subject: string, message: string): Promise<void> {
    const { connection, jetstream } = busOf('sync')
    await ensureEventStream(busOf('sync'), 'sync')
    await jetstream.publish('berth.v1.sync.told', message)
    const manager = await connection.jetstreamManager()
    const { name } = await manager.consumers.add('SYNC', { ack_policy: AckPolicy.None })
    const request = `$JS.API.CONSUMER.MSG.NEXT.SYNC.${name}`
    connection.publish(request, JSON.stringify({ batch: 1 }), { reply: subject })
    await connection.flush()
  }

  test('has no effect, and the events of the service have theirs', async () => {
    const messages = async () =>
      (await (await busOf('catalog').connection.jetstreamManager()).streams.info(streamOf('catalog'))).state.messages
    const mark = createEventMarks('catalog', keysOf('catalog'))
    const relay = startRelay({ db, bus: busOf('catalog'), source: 'catalog', log, mark })
    await record(db, ...names(2))
    let asked = 0
    let isAway = false
    const follower = startConsumer({
      db,
      bus: busOf('registry'),
      log,
      consumer: 'registry-catalog',
      source: 'catalog',
      owner: {
        eventsAfter: (position: number) => {
          asked++
          if (isAway) throw new Error('the owner is away')
          return readOutbox(db, position)
        },
      },
      isGenuine: createEventCheck({ source: 'catalog', follower: 'registry' }, keysOf('registry')),
      handle: async (sql, event) =>
        void (await sql.query('insert into effect (name) values ($1)', [(event.data as { name: string }).name])),
      pauseAfterFailureMs: 50,
    })
    try {
      await until(async () => (await effects(db)).length === 2 && (await messages()) === 2)
      await until(async () => {
        const manager = await busOf('registry').connection.jetstreamManager()
        const info = await manager.consumers.info(streamOf('catalog'), 'registry-catalog').catch(() => undefined)
        return (info?.num_waiting ?? 0) > 0
      })
      // What comes by the bus alone is believed for its mark.
      isAway = true
      await record(db, 'e3')
      await until(async () => (await effects(db)).length === 3)
      isAway = false
      const before = asked
      const forged = JSON.stringify({ sequence: '4', data: { name: 'forged' } })
      await deliverTo('berth.v1.catalog.repository.deleted', forged)
      await until(async () => (await messages()) === 4)
      // It only says that there may be something to ask for.
      await until(async () => asked > before)
      await record(db, 'e4')
      await until(async () => (await effects(db)).length === 4)
      await pause(100)
      expect(await effects(db)).toEqual(names(4))
    } finally {
      await follower.stop()
      await relay.stop()
    }
  }, 30_000)
})
