import { readFileSync, writeFileSync } from 'node:fs'
import { createLogger, type Logger } from '@berth/service'
import { until } from '@berth/service/testing'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { AckPolicy, connect, DeliverPolicy, type JetStreamManager, nkeyAuthenticator } from 'nats'
import { type Bus, connectBus, ensureEventStream, streamOf } from './connection.ts'
import { type EventSource, eventSources } from './events/event.ts'
import { lastAnnounced } from './last-announced.ts'
import { makeNats, type NatsFixture } from './nats-server.fixture.ts'
import { isNatsSeed, makeNatsUser, natsRights, natsUsers, requireFollower } from './nats-users.ts'
import { announceWork, listenForWork } from './work-queue.ts'

const refused: string[] = []
const log = {
  ...createLogger({ service: 'test', silent: true }),
  error: (_message: string, fields: { subject?: string } = {}) => void refused.push(fields.subject ?? ''),
} as Logger
const users = new Map(eventSources.map((name) => [name, makeNatsUser()]))
const reader = makeNatsUser()
const buses = new Map<EventSource, Bus>()
let nats: NatsFixture

beforeAll(async () => {
  const publicKeys = Object.fromEntries([...users].map(([name, { publicKey }]) => [name, publicKey]))
  nats = await makeNats(natsUsers(publicKeys as Record<EventSource, string>, reader.publicKey))
  for (const [name, { seed }] of users) {
    const bus = await connectBus({ url: nats.url, name, seed, log })
    buses.set(name, bus)
    await ensureEventStream(bus, name)
    await bus.jetstream.publish(`berth.v1.${name}.told`, JSON.stringify({ sequence: '1' }))
  }
}, 30_000)
afterAll(async () => {
  await Promise.all([...buses.values()].map((bus) => bus.close()))
  await nats?.remove()
})

const busOf = (name: EventSource) => buses.get(name) as Bus
const managerOf = (name: EventSource) => busOf(name).connection.jetstreamManager({ timeout: 2_000 })
const durable = (name: string) => ({ durable_name: name, ack_policy: AckPolicy.Explicit })

/** Expects that NATS refuses it, and that the log says what. */
async function expectRefused(what: (manager: JetStreamManager, bus: Bus) => unknown, as: EventSource, subject: string) {
  refused.length = 0
  // A subscription does not reject: it is over.
  await Promise.resolve(what(await managerOf(as), busOf(as))).catch(() => 'refused')
  await busOf(as).connection.flush()
  await until(async () => refused.length > 0)
  expect([as, refused]).toEqual([as, [subject]])
}

test.each<[EventSource, EventSource, string]>([
  ['registry', 'catalog', 'registry-catalog'],
  ['auth', 'catalog', 'auth-catalog'],
  ['auth', 'sync', 'auth-sync'],
  ['sync', 'tasks', 'sync-tasks'],
  ['tasks', 'auth', 'tasks-auth'],
  ['tasks', 'tasks', 'tasks-tasks'],
])('%s reads what %s announces, by a consumer of its own', async (service, source, consumer) => {
  refused.length = 0
  const bus = busOf(service)
  const manager = await managerOf(service)
  await manager.consumers.add(streamOf(source), { ...durable(consumer), deliver_policy: DeliverPolicy.All })
  const messages = await (await bus.jetstream.consumers.get(streamOf(source), consumer)).consume({ max_messages: 1 })
  for await (const message of messages) {
    expect(message.subject).toBe(`berth.v1.${source}.told`)
    expect(await message.ackAck()).toBe(true)
    break
  }
  await lastAnnounced(bus, source)
  bus.connection.publish(`berth.dlq.${consumer}`, '{}')
  await bus.connection.flush()
  expect(refused).toEqual([])
})

test.each<[EventSource, string]>([
  ['catalog', 'gc'],
  ['sync', 'sync-group'],
])('%s is told of its work by tasks', async (service, kind) => {
  refused.length = 0
  let rings = 0
  const listening = listenForWork({ bus: busOf(service), kind, log, onRing: () => rings++ })
  try {
    await until(async () => {
      await announceWork(busOf('tasks'), kind, String(Math.random()))
      return rings > 0
    })
  } finally {
    await listening.stop()
  }
  expect(refused).toEqual([])
})

describe('NATS refuses', () => {
  test.each(eventSources)('an announcement of %s by any other service', async (source) => {
    for (const other of eventSources.filter((name) => name !== source)) {
      const before = (await (await managerOf(source)).streams.info(streamOf(source))).state.messages
      const subject = `berth.v1.${source}.told`
      await expectRefused((_manager, bus) => bus.jetstream.publish(subject, '{}', { timeout: 1_000 }), other, subject)
      expect((await (await managerOf(source)).streams.info(streamOf(source))).state.messages).toBe(before)
    }
  })

  test('that a service reads a stream which it does not need', async () => {
    const seen = '$JS.API.STREAM.INFO.AUTH'
    for (const name of eventSources.filter((one) => one !== 'auth' && one !== 'tasks')) {
      await expectRefused((manager) => manager.streams.info('AUTH'), name, seen)
      const making = '$JS.API.CONSUMER.CREATE.AUTH'
      await expectRefused((manager) => manager.consumers.add('AUTH', { ack_policy: AckPolicy.None }), name, making)
      const reading = '$JS.API.STREAM.MSG.GET.AUTH'
      await expectRefused((manager) => manager.streams.getMessage('AUTH', { seq: 1 }), name, reading)
      const hearing = 'berth.v1.auth.>'
      await expectRefused(
        (_manager, bus) => void bus.connection.subscribe(hearing, { callback: () => {} }),
        name,
        hearing,
      )
    }
  })

  test('that a service touches the consumer of another, its streams, its inbox or its work', async () => {
    const consumer = 'CATALOG.registry-catalog'
    await expectRefused(
      (manager) => manager.consumers.info('CATALOG', 'registry-catalog'),
      'auth',
      `$JS.API.CONSUMER.INFO.${consumer}`,
    )
    await expectRefused(
      (manager) => manager.consumers.delete('CATALOG', 'registry-catalog'),
      'auth',
      `$JS.API.CONSUMER.DELETE.${consumer}`,
    )
    await expectRefused(
      (manager) => manager.consumers.add('CATALOG', durable('registry-catalog')),
      'catalog',
      `$JS.API.CONSUMER.CREATE.${consumer}`,
    )
    for (const name of ['catalog', 'registry'] as const)
      await expectRefused((manager) => manager.streams.delete('CATALOG'), name, '$JS.API.STREAM.DELETE.CATALOG')
    const inbox = '_INBOX_catalog.>'
    await expectRefused((_manager, bus) => void bus.connection.subscribe(inbox, { callback: () => {} }), 'sync', inbox)
    await expectRefused((_manager, bus) => bus.connection.publish('berth.work.gc', '{}'), 'catalog', 'berth.work.gc')
    await expectRefused(
      (manager) => manager.consumers.add('WORK', { ...durable('workers-gc'), filter_subject: 'berth.work.gc' }),
      'sync',
      '$JS.API.CONSUMER.CREATE.WORK.workers-gc.berth.work.gc',
    )
  })

  test('a login without a key of ours', async () => {
    const stranger = { url: nats.url, name: 'sync', log }
    await expect(connectBus(stranger)).rejects.toThrow('refuses the connection')
    await expect(connectBus({ ...stranger, seed: makeNatsUser().seed })).rejects.toMatchObject({
      remedy: expect.stringContaining('BERTH_NATS_SEED of sync'),
    })
  })
})

test('the reader hears all events and reads what was kept, and can tell nothing nor ask anything of streams', async () => {
  const authenticator = nkeyAuthenticator(Buffer.from(reader.seed))
  const connection = await connect({ servers: new URL(nats.url).host, authenticator })
  try {
    const heard: string[] = []
    connection.subscribe('berth.v1.>', { callback: (_error, { subject }) => void heard.push(subject) })
    await connection.flush()
    await busOf('build').jetstream.publish('berth.v1.build.told', '{}')
    await until(async () => heard.includes('berth.v1.build.told'))
    const manager = await connection.jetstreamManager({ checkAPI: false, timeout: 2_000 })
    for (const source of eventSources) {
      const stream = streamOf(source)
      const { name } = await manager.consumers.add(stream, { ack_policy: AckPolicy.None })
      const kept = await (await connection.jetstream().consumers.get(stream, name)).next({ expires: 2_000 })
      expect([source, kept?.subject]).toEqual([source, `berth.v1.${source}.told`])
      const denied = [
        () => connection.jetstream().publish(`berth.v1.${source}.told`, '{}'),
        () => manager.streams.info(stream),
        () => manager.streams.getMessage(stream, { seq: 1 }),
        () => manager.streams.purge(stream),
        () => manager.streams.delete(stream),
      ]
      for (const what of denied) await expect(what()).rejects.toThrow('Permissions Violation')
    }
    await expect(manager.consumers.delete('CATALOG', 'registry-catalog')).rejects.toThrow('Permissions Violation')
  } finally {
    await connection.close()
  }
})

test('a service that follows what the table does not have of it does not start', () => {
  requireFollower('sync', 'tasks', 'sync-tasks')
  expect(() => requireFollower('sync', 'catalog', 'sync-catalog')).toThrow('nobody says that sync follows catalog')
})

test.each(['', 'x', 'SAANOACCOUNT', makeNatsUser().publicKey, `${makeNatsUser().seed}x`])(
  '%s is no seed of a user',
  (text) => expect(isNatsSeed(text)).toBe(false),
)
test('the seed of a user is one', () => expect(isNatsSeed(makeNatsUser().seed)).toBe(true))

test('docs/reference/nats-users.conf has the users as they are (BERTH_TEST_WRITE_DOCS=true writes it)', () => {
  const file = new URL('../../../docs/reference/nats-users.conf', import.meta.url)
  const publicKeys = Object.fromEntries(eventSources.map((name) => [name, `<public key of the seed of ${name}>`]))
  const text = natsUsers(publicKeys as Record<EventSource, string>, '<public key of the seed of reader>')
  if (process.env.BERTH_TEST_WRITE_DOCS === 'true') writeFileSync(file, `${text}\n`)
  expect(readFileSync(file, 'utf8')).toBe(`${text}\n`)
})

test('what users may do has one name, whatever their keys are', () => {
  const keysOf = (key: string) => Object.fromEntries(eventSources.map((name) => [name, key]))
  const users = (key: string) => natsUsers(keysOf(key) as Record<EventSource, string>, key)
  expect(natsRights).toMatch(/^[0-9a-f]{12}$/)
  for (const key of ['one', 'another']) expect(users(key).split('\n')[0]).toBe(`# rights ${natsRights}`)
})

test.each([
  ['helm/berth/files/nats-rights.yaml', /^(rights: ").*(")$/m],
  ['compose/docker-compose.yaml', /^( +BERTH_NATS_RIGHTS: ').*(')$/m],
])(
  'deploy/%s starts NATS again where users may do something else (BERTH_TEST_WRITE_DOCS=true writes it)',
  (name, line) => {
    const file = new URL(`../../../deploy/${name}`, import.meta.url)
    const text = readFileSync(file, 'utf8')
    const wanted = text.replace(line, `$1${natsRights}$2`)
    expect(text).toMatch(line)
    if (process.env.BERTH_TEST_WRITE_DOCS === 'true') writeFileSync(file, wanted)
    expect(readFileSync(file, 'utf8')).toBe(wanted)
  },
)
