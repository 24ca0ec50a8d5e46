import { randomBytes } from 'node:crypto'
import type { EventCommands } from '@berth/bus'
import { type AuthCommands, type CommandClient, commandsOf } from '@berth/commands'
import { createLogger, createMetrics } from '@berth/service'
import { keysOf, type Served, serve, testServers } from '@berth/service/testing'
import { type Auth, createAuth } from '../app.ts'
import type { AuthConfig } from '../config.ts'

type Commands = AuthCommands & EventCommands
export type StartedAuth = Served & { auth: CommandClient<Commands>; service: Auth }

// Rights are decided by what is known of their objects.
const away = 'http://127.0.0.1:1'
const secretsKey = randomBytes(32).toString('base64')

/** Starts one replica of auth behind free ports. */
export async function startAuth(databaseUrl: string, more: Partial<AuthConfig> = {}): Promise<StartedAuth> {
  const service = createAuth(
    {
      databaseUrl,
      natsUrl: testServers().natsUrl,
      ...keysOf('auth'),
      secretsKey,
      catalogUrl: away,
      syncUrl: away,
      callTimeoutSeconds: 2,
      adminPassword: undefined,
      externalLoginDays: 30,
      ...more,
    },
    { log: createLogger({ service: 'auth', level: 'error' }), metrics: createMetrics() },
  )
  const served = await serve(service)
  return { ...served, auth: commandsOf<Commands>(served.internal), service }
}
