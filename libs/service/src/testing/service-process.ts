import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { testServers } from './database.ts'
import { programOf } from './programs.ts'
import { keyEnvironmentOf } from './service-keys.ts'
import { until } from './until.ts'

// Of all processes of a test, as of one installation.
const secretsKey = randomBytes(32).toString('base64')

export type ServiceProcess = {
  url: string
  internalUrl: string
  pid: number
  stop: () => Promise<void>
  /** Ends it without warning. */
  kill: () => Promise<void>
}

/**
 * Runs a peer as a process of its own, so that a service is tested against the real one without importing it. `BERTH_PORT` and
 * `BERTH_INTERNAL_PORT` have it listen where another one did.
 */
export async function startProcess(
  name: string,
  databaseUrl: string,
  environment: NodeJS.ProcessEnv = {},
): Promise<ServiceProcess> {
  const { BERTH_PORT: port = await freePort(), BERTH_INTERNAL_PORT: internalPort = await freePort() } = environment
  const child = spawn(process.execPath, [programOf(name)], {
    env: {
      PATH: process.env.PATH,
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
      BERTH_DATABASE_URL: databaseUrl,
      BERTH_NATS_URL: testServers().natsUrl,
      BERTH_SECRETS_KEY: secretsKey,
      ...keyEnvironmentOf(name),
      BERTH_LOG_LEVEL: 'error',
      ...environment,
      BERTH_PORT: port,
      BERTH_INTERNAL_PORT: internalPort,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const ended = once(child, 'exit')
  ended.catch(() => 'told by stop')
  const url = `http://127.0.0.1:${port}`
  const endBy = async (signal: 'SIGTERM' | 'SIGKILL') => {
    child.kill(signal)
    await ended
  }
  const stop = () => endBy('SIGTERM')
  try {
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`the ${name} service ended with code ${child.exitCode}`)
      return isReady(url)
    })
  } catch (error) {
    await stop()
    throw error
  }
  const kill = () => endBy('SIGKILL')
  return { url, internalUrl: `http://127.0.0.1:${internalPort}`, pid: child.pid ?? 0, stop, kill }
}

async function isReady(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/readyz`)).ok
  } catch (error) {
    // fetch says TypeError for a refused connection, one of another realm than the test's: not listening yet.
    if ((error as Error).name === 'TypeError') return false
    throw error
  }
}

async function freePort(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return String(port)
}
