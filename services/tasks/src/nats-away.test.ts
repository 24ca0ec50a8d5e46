import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { makeDatabase, type TestDatabase, testServers, until } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import pg from 'pg'
import { type StartedTasks, startTasks } from './testing/started.fixture.ts'

let database: TestDatabase
let started: StartedTasks
const stops: (() => unknown)[] = []

beforeAll(async () => {
  database = await makeDatabase()
})
afterAll(async () => {
  await started?.stop()
  for (const stop of stops) stop()
  await database?.drop()
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** NATS begins to answer on a port, which it did not before. */
async function openWayToNats(port: number): Promise<void> {
  const nats = new URL(testServers().natsUrl)
  const server = createServer((socket) => {
    const onward = connect(Number(nats.port), nats.hostname)
    for (const end of [socket, onward]) end.on('error', () => end.destroy())
    socket.pipe(onward).pipe(socket)
    for (const end of [socket, onward]) stops.push(() => end.destroy())
  }).listen(port, '127.0.0.1')
  await once(server, 'listening')
  stops.push(() => server.close())
}

test('with NATS away tasks start, are claimed and ended all the same, and their events go out when it comes', async () => {
  const port = await freePort()
  const natsUrl = new URL(testServers().natsUrl)
  natsUrl.host = `127.0.0.1:${port}`
  started = await startTasks(database.url, { natsUrl: natsUrl.href })
  const id = randomUUID()
  await started.tasks.call('create-task', {
    id,
    kind: 'k',
    payload: 1,
    exclusive: ['r'],
    shared: [],
    actor: { id: null, name: 'ann' },
  })
  const { task } = await started.tasks.call('claim-task', { kinds: ['k'], worker: 'w', leaseSeconds: 60 })
  expect(task).toMatchObject({ id, payload: 1, attempt: 1, actor: { id: null, name: 'ann' } })
  await started.tasks.call('finish-task', { id, fence: task?.fence ?? 0, state: 'completed' })
  // A consumer can catch up from here, NATS or not.
  await until(async () => (await started.tasks.call('list-events', { after: 0 })).events.length === 3)

  const sql = new pg.Client({ connectionString: database.url, options: '-c search_path=tasks' })
  await sql.connect()
  const unpublished = async () => (await sql.query('select from outbox where published_at is null')).rowCount ?? 0
  try {
    expect(await unpublished()).toBe(3)
    await openWayToNats(port)
    await until(async () => (await unpublished()) === 0)
  } finally {
    await sql.end()
  }
})
