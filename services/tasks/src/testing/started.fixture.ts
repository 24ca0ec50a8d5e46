import { randomBytes } from 'node:crypto'
import type { EventCommands } from '@berth/bus'
import { type CommandClient, commandsOf, type TasksCommands } from '@berth/commands'
import { createLogger, createMetrics, type Metrics } from '@berth/service'
import { keysOf, type Served, serve, testServers } from '@berth/service/testing'
import { createTasks } from '../app.ts'
import type { TasksConfig } from '../config.ts'

type Commands = TasksCommands & EventCommands
export type StartedTasks = Served & { tasks: CommandClient<Commands>; metrics: Metrics }

const secretsKey = randomBytes(32).toString('base64')
// Nothing listens there.
const nowhere = 'http://127.0.0.1:1'
const away = { authUrl: nowhere, buildUrl: nowhere, catalogUrl: nowhere, registryUrl: nowhere, syncUrl: nowhere }

/** Starts one replica of tasks behind free ports. Without auth only its commands can be used. */
export async function startTasks(databaseUrl: string, more: Partial<TasksConfig> = {}): Promise<StartedTasks> {
  const metrics = createMetrics()
  const service = createTasks(
    { databaseUrl, natsUrl: testServers().natsUrl, ...keysOf('tasks'), secretsKey, ...away, ...more },
    { log: createLogger({ service: 'tasks', level: 'error' }), metrics, sweepEveryMs: 50 },
  )
  const served = await serve(service)
  return { ...served, tasks: commandsOf<Commands>(served.internal), metrics }
}
