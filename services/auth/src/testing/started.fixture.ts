import { randomBytes } from 'node:crypto'
import type { EventCommands } from '@berth/bus'
import { type AuthCommands, type CommandClient, commandsOf } from '@berth/commands'
import { closeServer, createInternalServer, createLogger, createMetrics, listen } from '@berth/service'
import { keysOf, publicKeys, type Served, serve, testServers } from '@berth/service/testing'
import { type Auth, createAuth } from '../app.ts'
import type { AuthConfig } from '../config.ts'

type Commands = AuthCommands & EventCommands
export type StartedAuth = Served & { auth: CommandClient<Commands>; service: Auth }

// Rights are decided by what is known of their objects.
const away = 'http://127.0.0.1:1'
const secretsKey = randomBytes(32).toString('base64')

/** Tasks as they are where nothing was scheduled. */
async function startTasks() {
  const commands = { 'find-schedules-of': async () => ({ names: [], count: 0 }) }
  const log = createLogger({ service: 'tasks', silent: true })
  const tasks = createInternalServer({ service: 'tasks', publicKeys, log, commands })
  const { server, port } = await listen(tasks, { port: 0, host: '127.0.0.1' })
  return { tasksUrl: `http://127.0.0.1:${port}`, stop: () => closeServer(server, 0) }
}

/** Starts one replica of auth behind free ports. */
export async function startAuth(databaseUrl: string, more: Partial<AuthConfig> = {}): Promise<StartedAuth> {
  const tasks = await startTasks()
  try {
    const service = createAuth(
      {
        databaseUrl,
        natsUrl: testServers().natsUrl,
        ...keysOf('auth'),
        secretsKey,
        catalogUrl: away,
        syncUrl: away,
        tasksUrl: tasks.tasksUrl,
        callTimeoutSeconds: 2,
        adminPassword: undefined,
        adminFirstPassword: undefined,
        externalLoginDays: 30,
        ...more,
      },
      { log: createLogger({ service: 'auth', level: 'error' }), metrics: createMetrics() },
    )
    const served = await serve(service)
    const stop = async () => {
      await served.stop()
      await tasks.stop()
    }
    return { ...served, stop, auth: commandsOf<Commands>(served.internal), service }
  } catch (error) {
    await tasks.stop()
    throw error
  }
}
