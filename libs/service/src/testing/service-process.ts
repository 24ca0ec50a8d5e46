import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { testServers } from './database.ts'
import { keyEnvironmentOf } from './service-keys.ts'
import { until } from './until.ts'

export type ServiceProcess = { url: string; internalUrl: string; stop: () => Promise<void> }

/** Runs a peer as a process of its own, so that a service is tested against the real one without importing it. */
export async function startProcess(
  name: string,
  databaseUrl: string,
  environment: NodeJS.ProcessEnv = {},
): Promise<ServiceProcess> {
  const [port, internalPort] = [await freePort(), await freePort()]
  const main = fileURLToPath(new URL(`../../../../services/${name}/src/main.ts`, import.meta.url))
  const child = spawn(process.execPath, [main], {
    env: {
      PATH: process.env.PATH,
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
      BERTH_DATABASE_URL: databaseUrl,
      BERTH_NATS_URL: testServers().natsUrl,
      ...keyEnvironmentOf(name),
      BERTH_PORT: String(port),
      BERTH_INTERNAL_PORT: String(internalPort),
      BERTH_LOG_LEVEL: 'error',
      ...environment,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const ended = once(child, 'exit')
  ended.catch(() => 'told by stop')
  const url = `http://127.0.0.1:${port}`
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
  }
  try {
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`the ${name} service ended with code ${child.exitCode}`)
      return isReady(url)
    })
  } catch (error) {
    await stop()
    throw error
  }
  return { url, internalUrl: `http://127.0.0.1:${internalPort}`, stop }
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

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
