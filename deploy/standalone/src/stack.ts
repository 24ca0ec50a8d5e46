import path from 'node:path'
import { journalOf, logHealing, openBlobStore, replayBlobJournals } from '@berth/blobs'
import {
  answerOperations,
  closeServer,
  createLogger,
  createMetrics,
  Lifecycle,
  type Logger,
  listen,
  type Observed,
  openTls,
  startTraces,
  tryDatabase,
  version,
} from '@berth/service'

import { lockHome } from './children/home-lock.ts'
import { stopLeftovers } from './children/records.ts'
import { blobsDirectoryOf, type StandaloneConfig } from './config.ts'
import { startNats } from './embedded/nats-server.ts'
import { startPostgres } from './embedded/postgres.ts'
import { createFront } from './front.ts'
import type { Ground, Running } from './ground.ts'
import { startInProcess } from './in-process.ts'
import { startProcesses } from './processes.ts'
import type { ServiceName } from './routes.ts'
import { readSecrets } from './secrets.ts'
import { homeIdOf } from './service-keys.ts'

export type Stack = { url: string; firstPassword: string | undefined; stop(): Promise<void> }

/**
 * Starts Berth on one port: embedded PostgreSQL and nats-server unless real ones are named, then the six services. Throws
 * `StartupError` with the remedy; what had started is stopped then.
 */
export async function startStack(config: StandaloneConfig, say: (line: string) => void): Promise<Stack> {
  const home = path.resolve(config.home)
  const lock = lockHome(home)
  const log = createLogger({
    service: 'standalone',
    level: config.logLevel,
    output: config.logOutput,
    file: path.join(home, 'berth.log'),
  })
  const life = new Lifecycle(log)
  life.onStop('home', () => lock.release())
  try {
    return await startOn(home, config, log, life, say)
  } catch (error) {
    await life.stop()
    throw error
  }
}

async function startOn(
  home: string,
  config: StandaloneConfig,
  log: Logger,
  life: Lifecycle,
  say: (line: string) => void,
): Promise<Stack> {
  const metrics = createMetrics({ defaults: true })
  // Services in processes of their own record their own.
  const traces = config.processes ? undefined : await startTraces(config, log)
  if (traces) life.onStop('traces', () => traces.stop())
  let running: Running | undefined
  const front = createFront((service) => running?.listenerOf(service))
  const tls = await openTls(config, log)
  if (tls) life.onStop('tls', () => tls.stop())
  // The port first: whether it is free is known before anything else is started.
  const { server, port } = await listen(
    (request, response) => {
      const operations = { services: running?.services ?? [starting], metrics, metricsToken: config.metricsToken, log }
      if (!answerOperations(request, response, operations)) front(request, response)
    },
    { port: config.port, host: config.host, tls, trustedProxies: config.trustedProxies, guard: { metrics } },
  )
  await stopLeftovers(home, log)
  const { secretsKey } = config
  const secrets = readSecrets(home, secretsKey ? { secretsKey } : {})
  const { databaseUrl, nats } = await startServers(home, config, log, life, say)
  const ground: Ground = { config, secrets, databaseUrl, ...nats, home, log, metrics, life }
  const blobsDirectory = blobsDirectoryOf(config, home)
  const homeId = homeIdOf(secrets)
  // What this home had in its journals, also where it shall keep none now; what it had left running is stopped. Of another home nothing
  // is known: it may live and work on the same directory, unless somebody has said that it does not.
  const replayed = config.storeAdopt === undefined ? homeId : undefined
  const foreign = blobsDirectory === undefined ? [] : await replayBlobJournals(blobsDirectory, log, replayed)
  const blobs = await openBlobStore(
    { ...config, blobsDirectory },
    logHealing(log),
    // PostgreSQL, NATS and the log: without room for these nothing works, not even a deletion.
    {
      others: config.databaseUrl === undefined ? [{ name: 'BERTH_HOME', label: 'home', folder: home }] : [],
      // The front alone, in its own process, stores nothing.
      ...(config.processes
        ? {}
        : { metrics, journal: config.blobsJournal ? journalOf(`${homeId}.stack`, log, { isAlone: true }) : undefined }),
    },
  )
  life.onStop('blob store', () => blobs.close())
  running = config.processes ? await startProcesses(ground) : await startInProcess(ground, blobs)
  // Only now is it known that the store is ours.
  if (foreign.length > 0) warnOfForeign(log, foreign)
  // Registered last, so that it closes first: no request is let in while the services stop.
  life.onStop('public listener', () => closeServer(server, 3_000))
  const url = `${tls ? 'https' : 'http'}://localhost:${port}`
  log.info('berth is ready', { url, version })
  return { url, firstPassword: running.firstPassword, stop: () => life.stop() }
}

function warnOfForeign(log: Logger, foreign: readonly string[]): void {
  log.warn('journals of another Berth lie in staging of the directory of the blobs, and are left there', {
    foreign,
    remedy:
      'let it have a directory of its own; or, if it is gone, start once with BERTH_STORE_ADOPT, which replays them',
  })
}

/** Stands for the services until they are there. */
const starting: Observed = { name: 'berth', unready: async () => 'starting' }

async function startServers(
  home: string,
  config: StandaloneConfig,
  log: Logger,
  life: Lifecycle,
  say: (line: string) => void,
): Promise<{ databaseUrl: string; nats: Pick<Ground, 'natsUrl' | 'natsSeedOf'> }> {
  const database = async () => {
    if (config.databaseUrl !== undefined) {
      await tryDatabase(config.databaseUrl)
      const { host, searchParams } = new URL(config.databaseUrl)
      say(`database: PostgreSQL at ${searchParams.get('host') ?? host}`)
      return config.databaseUrl
    }
    const postgres = await startPostgres({ home, log })
    life.onStop('postgres', () => postgres.stop())
    return postgres.url
  }
  const messages = async () => {
    if (config.natsUrl !== undefined) {
      say(`messages: NATS at ${new URL(config.natsUrl).host}`)
      return { natsUrl: config.natsUrl, natsSeedOf: () => config.natsSeed }
    }
    const server = await startNats({ home, binary: config.natsServer, log })
    life.onStop('nats-server', () => server.stop())
    return { natsUrl: server.url, natsSeedOf: (name: ServiceName) => server.seeds[name] }
  }
  // Both are waited for even when one fails, so that the other is stopped too.
  const [databaseUrl, nats] = await Promise.allSettled([database(), messages()])
  if (databaseUrl.status === 'rejected') throw databaseUrl.reason
  if (nats.status === 'rejected') throw nats.reason
  return { databaseUrl: databaseUrl.value, nats: nats.value }
}
