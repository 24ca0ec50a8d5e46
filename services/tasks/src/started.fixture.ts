import { randomUUID } from 'node:crypto'
import { type CommandClient, commandsOf, type OutboxPage, type TasksCommands } from '@berth/commands'
import { closeServer, createInternalClient, createLogger, createMetrics, listen, type Service } from '@berth/service'
import pg from 'pg'
import { createTasks } from './app.ts'

export const serviceKey = 'a key that only the services of this test know'

/** The servers that the test run started. */
export function testServers(): { databaseUrl: string; natsUrl: string } {
  const { BERTH_TEST_DATABASE_URL: databaseUrl, BERTH_TEST_NATS_URL: natsUrl } = process.env
  if (!databaseUrl || !natsUrl) throw new Error('the test servers are not running')
  return { databaseUrl, natsUrl }
}

/** Makes a database of its own for a test file. */
export async function makeDatabase(): Promise<{ url: string; drop: () => Promise<void> }> {
  const admin = testServers().databaseUrl
  const name = `test_${randomUUID().replaceAll('-', '')}`
  await run(admin, `create database ${name}`)
  const url = new URL(admin)
  url.pathname = `/${name}`
  return { url: url.href, drop: () => run(admin, `drop database ${name} with (force)`) }
}

async function run(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}

type Commands = TasksCommands & { events: { request: { after: number }; reply: OutboxPage } }
export type StartedTasks = { url: string; tasks: CommandClient<Commands>; service: Service; stop: () => Promise<void> }

/** Starts one replica of tasks behind free ports. */
export async function startTasks(databaseUrl: string, authUrl = 'http://127.0.0.1:1'): Promise<StartedTasks> {
  const service = createTasks(
    { databaseUrl, natsUrl: testServers().natsUrl, serviceKey, authUrl },
    { log: createLogger({ service: 'tasks', level: 'error' }), metrics: createMetrics() },
  )
  await service.start()
  const open = await listen(service.public, { port: 0, host: '127.0.0.1' })
  const internal = await listen(service.internal, { port: 0, host: '127.0.0.1' })
  const client = createInternalClient({
    baseUrl: `http://127.0.0.1:${internal.port}`,
    from: 'sync',
    to: 'tasks',
    serviceKey,
  })
  return {
    url: `http://127.0.0.1:${open.port}`,
    tasks: commandsOf<Commands>(client),
    service,
    stop: async () => {
      await client.close()
      await service.stop()
      await Promise.all([closeServer(open.server, 500), closeServer(internal.server, 500)])
    },
  }
}
