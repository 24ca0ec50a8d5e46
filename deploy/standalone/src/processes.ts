import { type ChildProcess, spawn } from 'node:child_process'
import { request as httpRequest, type IncomingMessage, type RequestListener } from 'node:http'
import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { replayBlobJournals } from '@berth/blobs'
import {
  clientAddress,
  type Notes,
  type Observed,
  problemFrom,
  StartupError,
  thisMachine,
  withoutFilesOf,
  writePublicKeys,
} from '@berth/service'
import { freePort } from './children/free-port.ts'
import { dyingWithUs, hasEnded, keepRunning } from './children/keep-running.ts'
import { blobsDirectoryOf, buildDirectoryOf, transferDirectoryOf } from './config.ts'
import { createForward } from './forward.ts'
import type { Ground, Running } from './ground.ts'
import { type ServiceName, serviceNames } from './routes.ts'
import { homeIdOf, readServiceKeys } from './service-keys.ts'

type Ports = { public: number; internal: number }
const readyWithinMs = 60_000
const readyPatienceMs = 15_000
const pollMs = 50

/** Starts each service as a process of its own, as on Kubernetes, and keeps it running; the front forwards to them. */
export async function startProcesses(ground: Ground): Promise<Running> {
  const ports = new Map<ServiceName, Ports>()
  for (const name of serviceNames) ports.set(name, { public: await freePort(), internal: await freePort() })
  const environment = environmentOf(ground, ports)
  const blobsDirectory = blobsDirectoryOf(ground.config, ground.home)
  const homeId = homeIdOf(ground.secrets)
  const listeners = new Map<ServiceName, RequestListener>()
  const services = await Promise.all(
    serviceNames.map(async (name) => {
      const port = ports.get(name) as Ports
      const main = fileURLToPath(new URL(`../../../services/${name}/src/main.ts`, import.meta.url))
      const env = {
        ...environment,
        // Its own only: no service can sign, or announce events, as another one.
        BERTH_SERVICE_PRIVATE_KEY: ground.secrets.serviceKeys[name],
        BERTH_NATS_SEED: ground.natsSeedOf(name) ?? '',
        BERTH_PORT: String(port.public),
        BERTH_INTERNAL_PORT: String(port.internal),
        BERTH_INTERNAL_URL: `http://127.0.0.1:${port.internal}`,
      }
      const kept = await keepRunning({
        home: ground.home,
        name: `berth-${name}`,
        program: main,
        stopSignals: ['SIGTERM'],
        patienceMs: 7_000,
        launch: async (stop) => {
          // Of the one before it, which is dead. The others go on, each with a journal of its own.
          if (blobsDirectory !== undefined) await replayBlobJournals(blobsDirectory, ground.log, `${homeId}.${name}`)
          return launch(name, main, env, port.public, stop)
        },
        log: ground.log,
      })
      ground.life.onStop(name, () => kept.stop())
      listeners.set(name, createForward(port.public))
      return serviceBehind(name, port.public)
    }),
  )
  await untilReady(services)
  return { services, listenerOf: (name) => listeners.get(name), firstPassword: undefined }
}

// What the services are given here, wherever this program had it from.
const givenSecrets = [
  'DATABASE_URL',
  'DATABASE_PASSWORD',
  'NATS_URL',
  'NATS_SEED',
  'SECRETS_KEY',
  'SERVICE_PRIVATE_KEY',
  'SERVICE_PUBLIC_KEYS',
].map((name) => `BERTH_${name}`)

function environmentOf(
  { config, secrets, databaseUrl, natsUrl, home }: Ground,
  ports: Map<ServiceName, Ports>,
): NodeJS.ProcessEnv {
  const peers = [...ports].map(([name, port]) => [
    `BERTH_${name.toUpperCase()}_URL`,
    `http://127.0.0.1:${port.internal}`,
  ])
  return {
    // Services of their own do not share the log file, so their lines go to the terminal: warnings only, unless all lines are
    // collected there.
    BERTH_LOG_LEVEL: config.logOutput === 'stdout' ? config.logLevel : 'warn',
    ...process.env,
    // Only the front is for clients, and it alone speaks TLS.
    BERTH_HOST: '127.0.0.1',
    BERTH_TLS_CERT: '',
    BERTH_TLS_KEY: '',
    // Each request comes through the front, on this machine, which names the client in X-Forwarded-For.
    BERTH_TRUSTED_PROXIES: [...config.trustedProxies, ...thisMachine].join(','),
    ...withoutFilesOf(givenSecrets),
    BERTH_DATABASE_URL: databaseUrl,
    BERTH_DATABASE_PASSWORD: '',
    BERTH_NATS_URL: natsUrl,
    BERTH_SERVICE_PUBLIC_KEYS: writePublicKeys(readServiceKeys(secrets).publicKeys),
    BERTH_SECRETS_KEY: secrets.secretsKey,
    BERTH_SPOOL_DIR: path.join(home, 'spool'),
    BERTH_BUILD_DIR: buildDirectoryOf(config, home),
    BERTH_TRANSFER_DIR: transferDirectoryOf(config, home),
    BERTH_BLOBS_DIR: blobsDirectoryOf(config, home) ?? '',
    BERTH_STACK_JOURNAL: config.blobsJournal ? `${process.pid}.${homeIdOf(secrets)}` : '',
    ...Object.fromEntries(peers),
  }
}

async function launch(
  name: ServiceName,
  main: string,
  env: NodeJS.ProcessEnv,
  port: number,
  stop: AbortSignal,
): Promise<ChildProcess> {
  const [program, args] = dyingWithUs('TERM', process.execPath, [main])
  const child = spawn(program, args, { env, stdio: ['ignore', 'inherit', 'inherit'] })
  const deadline = Date.now() + readyWithinMs
  while (!(await isAlive(port))) {
    if (hasEnded(child))
      throw new StartupError(`the ${name} service ended while it started`, 'its own message above says why')
    if (stop.aborted || Date.now() > deadline) {
      child.kill('SIGKILL')
      throw new StartupError(
        `the ${name} service was not ready within ${readyWithinMs / 1000} s`,
        'its log says what it waits for',
      )
    }
    await pause(pollMs)
  }
  return child
}

type Asked = { status: number | undefined; text: string }
const mostAnsweredBytes = 16 << 20

/** Asks a service of ours; without an answer the status is `undefined`. */
function ask(port: number, path: string, headers: Record<string, string> = {}): Promise<Asked> {
  return new Promise((resolve) => {
    const none = () => resolve({ status: undefined, text: '' })
    const request = httpRequest({ host: '127.0.0.1', port, path, headers, timeout: 2_000 }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
        if (text.length > mostAnsweredBytes) response.destroy()
      })
      response.on('end', () => resolve({ status: response.statusCode, text }))
      response.on('close', none)
    })
    request.on('timeout', () => request.destroy())
    request.on('error', none)
    request.end()
  })
}

// They start side by side, so some come up before those that they learn from. One that stays unready (its server may be
// away) does not keep the others from serving.
async function untilReady(services: readonly Observed[]): Promise<void> {
  for (const deadline = Date.now() + readyPatienceMs; Date.now() < deadline; await pause(pollMs)) {
    const reasons = await Promise.all(services.map((service) => service.unready()))
    if (reasons.every((reason) => reason === undefined)) return
  }
}

async function isAlive(port: number): Promise<boolean> {
  return (await ask(port, '/healthz')).status === 200
}

function serviceBehind(name: ServiceName, port: number): Observed {
  const readiness = async () => {
    const { status, text } = await ask(port, '/readyz')
    if (status === undefined) return { status, notes: {}, reason: 'does not answer' }
    const { services = {}, status: _status, version: _version, ...notes } = JSON.parse(text) as Record<string, never>
    return { status, notes: notes as Notes, reason: (services as Record<string, string>)[name] ?? 'not ready' }
  }
  return {
    name,
    unready: async () => {
      const { status, reason } = await readiness()
      return status === 200 ? undefined : reason
    },
    notes: async () => (await readiness()).notes,
    metrics: async () => (await ask(port, '/metrics')).text,
    checkMetricsReader: async (request) => checkThere(port, request),
  }
}

// The service knows how to read a login, and whom it may believe about the address.
async function checkThere(port: number, request: IncomingMessage): Promise<void> {
  const { authorization = '' } = request.headers
  const { status, text } = await ask(port, '/metrics', { authorization, 'x-forwarded-for': clientAddress(request) })
  if (status === 200) return
  throw problemFrom(status ?? 503, status === undefined ? undefined : JSON.parse(text), undefined)
}
