import type { Database } from '@berth/service'
import { makeDatabase, type TestDatabase, until } from '@berth/service/testing'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { type Bus, connectBus, streamOf } from './connection.ts'
import { type ConsumeOptions, startConsumer } from './consume.ts'
import { listenToStream } from './listen-to-stream.ts'
import { makeNats, type NatsFixture } from './nats-server.fixture.ts'
import { effects, log, makeSchema, names, record } from './outbox.fixture.ts'
import { placeEvents, readOutbox } from './outbox.ts'
import { startRelay } from './relay.ts'
import { announceWork, listenForWork } from './work-queue.ts'

const source = 'catalog'
let database: TestDatabase
let nats: NatsFixture
let db: Database
let bus: Bus
const stops: (() => Promise<void>)[] = []

beforeAll(async () => {
  database = await makeDatabase()
})
afterAll(() => database.drop())
// Streams have fixed names: each test has a server of its own.
beforeEach(async () => {
  nats = await makeNats()
  db = await makeSchema(database.url)
  bus = await connectBus({ url: nats.url, name: 'test', log })
})
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
  await bus.close()
  await db.close()
  await nats.remove()
})

function relay() {
  const started = startRelay({ db, bus, source, log })
  stops.push(() => started.stop())
  return started
}
const noteEffect: ConsumeOptions['handle'] = async (sql, event) =>
  void (await sql.query('insert into effect (name) values ($1)', [(event.data as { name: string }).name]))
function consume(more: Partial<ConsumeOptions> = {}) {
  const owner = { eventsAfter: (position: number) => readOutbox(db, position) }
  const options = { db, bus, log, consumer: 'follower', source, owner, handle: noteEffect } as const
  const started = startConsumer({ ...options, pauseAfterFailureMs: 50, ...more })
  stops.push(() => started.stop())
  return started
}
/** An owner that can be away: then all that a follower gets comes over the bus. */
function helpUntilListening(): ConsumeOptions['owner'] & { isAway: boolean } {
  const owner = {
    isAway: false,
    eventsAfter: async (position: number) => {
      if (owner.isAway) throw new Error('the owner is away')
      return readOutbox(db, position)
    },
  }
  return owner
}
/** Waits until a follower trusts the stream and takes what comes. */
const listens = () =>
  until(async () => {
    const manager = await bus.connection.jetstreamManager()
    const info = await manager.consumers.info(streamOf(source), 'follower').catch(() => undefined)
    return (info?.num_waiting ?? 0) > 0
  })
const seen = async (count: number) => until(async () => (await effects(db)).length >= count)

describe('over the bus', () => {
  test('a consumer that is stopped while it begins to listen ends', async () => {
    relay()
    await record(db, 'first')
    const consumer = consume()
    await seen(1)
    await consumer.stop()
    // The server took longer to answer than the stop to come, and has nothing to tell.
    await listenToStream({ db, bus, consumer: 'follower', source }, AbortSignal.abort(), async () => undefined)
  })

  test('every event arrives once and in order', async () => {
    relay()
    await record(db, 'first')
    const owner = helpUntilListening()
    consume({ owner })
    await seen(1)
    await listens()
    owner.isAway = true
    for (const name of names(50)) await record(db, name)
    await seen(51)
    expect(await effects(db)).toEqual(['first', ...names(50)])
  })

  test('what was rolled back does not arrive', async () => {
    consume()
    relay()
    const failed = db.transaction(async (sql) => {
      await record(sql, 'rolled back')
      throw new Error('no')
    })
    await expect(failed).rejects.toThrow('no')
    await record(db, 'e1')
    await seen(1)
    expect(await effects(db)).toEqual(['e1'])
  })

  test('what is recorded while nats is away arrives when it is back', async () => {
    consume()
    relay()
    await record(db, ...names(3))
    await seen(3)
    await nats.stop()
    await record(db, ...names(20, 'away '))
    await nats.start()
    await seen(23)
    expect(await effects(db)).toEqual([...names(3), ...names(20, 'away ')])
  })

  test('after its store was wiped all that the outbox holds is published again, with each effect once', async () => {
    consume()
    relay()
    await record(db, ...names(20))
    await seen(20)
    await nats.stop({ wipe: true })
    await record(db, ...names(20, 'after '))
    await nats.start()
    await seen(40)
    expect(await effects(db)).toEqual([...names(20), ...names(20, 'after ')])
    await until(async () => (await messagesKept()) === 40)
  })

  test('an event that the server does not take keeps those behind it back, and no order is lost', async () => {
    relay()
    await record(db, 'e0')
    await until(async () => (await messagesKept()) === 1)
    const manager = await bus.connection.jetstreamManager()
    const limit = async (bytes: number) => manager.streams.update(streamOf(source), { max_msg_size: bytes })
    await limit(3_000)
    const large = `large ${'x'.repeat(4_000)}`
    await record(db, 'e1', large, ...names(30, 'after '))
    await until(async () => (await messagesKept()) === 2)
    // What is sent again is the same: nothing of what comes behind was taken meanwhile.
    await record(db, 'last')
    await limit(-1)
    const wanted = ['e0', 'e1', large, ...names(30, 'after '), 'last']
    await until(async () => (await messagesKept()) >= wanted.length)
    const kept: string[] = []
    for (let seq = 1; seq <= wanted.length; seq++)
      kept.push(
        (await manager.streams.getMessage(streamOf(source), { seq })).json<{ data: { name: string } }>().data.name,
      )
    expect(kept).toEqual(wanted)
    expect(await messagesKept()).toBe(wanted.length)
  })

  test('when the stream is deleted under it, it is made again and nothing is missed', async () => {
    consume()
    relay()
    await record(db, ...names(5))
    await seen(5)
    const manager = await bus.connection.jetstreamManager()
    await manager.streams.delete(streamOf(source))
    await record(db, ...names(5, 'after '))
    await until(async () => (await messagesKept()) === 10)
    await seen(10)
    expect(await effects(db)).toEqual([...names(5), ...names(5, 'after ')])
  })
})

async function messagesKept(): Promise<number> {
  try {
    return (await (await bus.connection.jetstreamManager()).streams.info(streamOf(source))).state.messages
  } catch {
    // The server or the stream is not back yet.
    return 0
  }
}

describe('whatever the bus does', () => {
  async function publishBadly(order: number[]): Promise<void> {
    const { events } = await readOutbox(db, 0)
    for (const i of order) {
      const row = events[i]
      if (row)
        await bus.jetstream.publish(row.subject, JSON.stringify({ ...row.event, sequence: String(row.position) }))
    }
  }
  async function placed(count: number): Promise<void> {
    await record(db, ...names(count))
    await db.transaction(placeEvents)
    const manager = await bus.connection.jetstreamManager()
    await manager.streams.add({ name: streamOf(source), subjects: [`berth.v1.${source}.>`] })
  }

  test('each event three times, shuffled, has each effect once and in order', async () => {
    await placed(60)
    const thrice = Array.from({ length: 180 }, (_, i) => i % 60)
    const shuffled = thrice.map((i, at) => ({ i, key: (at * 7919) % 180 })).sort((a, b) => a.key - b.key)
    await publishBadly(shuffled.map(({ i }) => i))
    consume()
    await seen(60)
    await until(async () => (await pending()) === 0)
    expect(await effects(db)).toEqual(names(60))
  })

  test('what is no event at all hurts nobody', async () => {
    await placed(3)
    for (const text of ['', 'no json', 'null', '5', '{}', '{"sequence":"x"}', '{"sequence":"1e400"}'])
      await bus.jetstream.publish(`berth.v1.${source}.noise`, text)
    await publishBadly([0, 1, 2])
    consume()
    await seen(3)
    await until(async () => (await pending()) === 0)
    expect(await effects(db)).toEqual(names(3))
  })

  test('what it loses is asked of the owner', async () => {
    await placed(30)
    await publishBadly([4, 29])
    consume()
    await seen(30)
    expect(await effects(db)).toEqual(names(30))
  })

  test('who missed more than is kept takes the present state, and goes on from there', async () => {
    await placed(30)
    await db.query(`delete from outbox where position <= 20`)
    consume({ takeSnapshot: async (sql) => void (await sql.query(`insert into effect (name) values ('snapshot')`)) })
    await seen(1)
    relay()
    await record(db, 'next')
    await seen(2)
    expect(await effects(db)).toEqual(['snapshot', 'next'])
  })

  test('replicas of one follower share the work, with each effect once', async () => {
    const second = await connectBus({ url: nats.url, name: 'second', log })
    stops.push(() => second.close())
    relay()
    consume()
    consume({ bus: second })
    for (let i = 0; i < 20; i++) {
      await record(db, ...names(10, `${i} `))
    }
    await seen(200)
    await until(async () => (await pending()) === 0)
    expect(await effects(db)).toEqual(Array.from({ length: 20 }, (_, i) => names(10, `${i} `)).flat())
  })

  async function pending(): Promise<number> {
    const manager = await bus.connection.jetstreamManager()
    const info = await manager.consumers.info(streamOf(source), 'follower')
    return info.num_pending + info.num_ack_pending
  }
})

describe('an event that cannot be handled', () => {
  const poisoned =
    (tries: { count: number }, failures: number): ConsumeOptions['handle'] =>
    async (sql, event) => {
      await noteEffect(sql, event)
      if ((event.data as { name: string }).name === 'e2' && tries.count++ < failures)
        throw new Error('cannot be handled')
    }

  test('is set aside after ten tries, and those behind it are handled', async () => {
    const tries = { count: 0 }
    consume({ handle: poisoned(tries, Number.POSITIVE_INFINITY) })
    const buried = bus.connection.subscribe('berth.dlq.follower', { max: 1 })
    relay()
    await record(db, ...names(3))
    await seen(2)
    expect(await effects(db)).toEqual(['e1', 'e3'])
    expect(tries.count).toBe(10)
    const letters = await db.query('select consumer, reason, attempts, event from dead_letter')
    expect(letters).toMatchObject([
      { consumer: 'follower', reason: 'cannot be handled', attempts: 10, event: { data: { name: 'e2' } } },
    ])
    for await (const message of buried) expect(message.json()).toMatchObject({ reason: 'cannot be handled' })
  })

  test('is handled once its cause is mended, and nothing overtakes it', async () => {
    consume({ handle: poisoned({ count: 0 }, 5) })
    relay()
    await record(db, ...names(3))
    await seen(3)
    expect(await effects(db)).toEqual(names(3))
    expect(await db.query('select 1 from dead_letter')).toEqual([])
  })
})

describe('doorbells', () => {
  test('a ring reaches a worker of its kind', async () => {
    const rings: string[] = []
    for (const kind of ['sync', 'build']) {
      const listening = listenForWork({ bus, kind, log, onRing: () => void rings.push(kind) })
      stops.push(() => listening.stop())
    }
    await until(async () => {
      await announceWork(bus, 'sync', `${performance.now()}`)
      return rings.length > 0
    })
    expect(new Set(rings)).toEqual(new Set(['sync']))
  })

  test('who listens stops at once, and leaves the next ring to another worker', async () => {
    const rings: string[] = []
    const listen = (name: string) => listenForWork({ bus, kind: 'sync', log, onRing: () => void rings.push(name) })
    const heard = async (name: string) => {
      await announceWork(bus, 'sync', `${performance.now()}`)
      return rings.includes(name)
    }
    for (const name of ['first', 'second', 'third', 'fourth']) {
      const listening = listen(name)
      await until(() => heard(name))
      // Now it waits for the next, which takes up to a second.
      const askedAt = performance.now()
      await listening.stop()
      expect(performance.now() - askedAt).toBeLessThan(300)
    }
  })

  test('nobody who rings while nats is away fails', async () => {
    await nats.stop()
    await expect(announceWork(bus, 'sync', 'x')).resolves.toBeUndefined()
  })
})
