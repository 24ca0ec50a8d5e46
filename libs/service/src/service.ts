import { createServer, type RequestListener, type Server, type ServerOptions } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { listOf, thisMachine, trustProxies } from './client-address.ts'
import { type ClientLimits, guardClients, usualClientLimits } from './client-guard.ts'
import { integer, networks, readConfig } from './config.ts'
import { beginDrain, watchDrain } from './draining.ts'
import type { InternalServer } from './internal-server.ts'
import type { InternalTls } from './internal-tls.ts'
import { refuseUnknownVariables } from './known-variables.ts'
import { Lifecycle } from './lifecycle.ts'
import type { LocalPeers } from './local-call.ts'
import type { Logger } from './logger.ts'
import type { Metrics } from './metrics.ts'
import { answerOperations, answerStarting, type Observed, operationsSettings } from './operations.ts'
import { faultMessage, StartupError, startupMessage } from './startup-error.ts'
import { openTls, type Tls, tlsSettings } from './tls.ts'
import { startTraces, traceSettings } from './traces.ts'
import { version } from './version.ts'

/** What every service is built with, besides its settings. */
export type ServiceParts = {
  log: Logger
  metrics: Metrics
  localPeers?: LocalPeers
  internalTls?: InternalTls | undefined
}

/** One of the six, ready to be put behind listeners: alone in its process, or with the others in one. */
export type Service = Observed & {
  public: RequestListener
  internal: InternalServer
  start(): Promise<void>
  stop(): Promise<void>
}

/** How the public listener takes connections; the standalone stack reads this too. */
export const listenSettings = {
  trustedProxies: networks('BERTH_TRUSTED_PROXIES', { fallback: thisMachine }),
}

const drainSettings = {
  /** How long requests under way may go on once the program was told to stop. */
  drainSeconds: integer('BERTH_DRAIN_SECONDS', { min: 0, max: 3_600 }, { fallback: 5 }),
}

// Longer than the idle time of common load balancers (60 s), so that they close first and never write into a closing socket.
const keepAliveMs = 75_000
const headersLimitBytes = 32 << 10
const longestHeadersMs = 30_000

/**
 * Opens a listener, for https when it is given `tls`; answers the server and its port. A client that has not sent its headers
 * after `headersTimeoutMs` (30 s unless set) is cut; its body may take as long as it takes, but for what a `guard` says. Throws
 * `StartupError` when the port is taken. What proxies in `trustedProxies` (networks; this machine unless set) say of their
 * clients is believed.
 */
export async function listen(
  handler: RequestListener,
  options: {
    port: number
    host?: string
    tls?: Tls | undefined
    headersTimeoutMs?: number
    trustedProxies?: readonly string[]
    /** For a listener that strangers reach: what its clients may take, and where that is counted. */
    guard?: { limits?: Partial<ClientLimits>; metrics?: Metrics }
  },
): Promise<{ server: Server; port: number }> {
  const { headersTimeoutMs = longestHeadersMs, trustedProxies = thisMachine } = options
  // requestTimeout would cut large layers short; slow heads are still bounded
  const limits = {
    keepAliveTimeout: keepAliveMs,
    headersTimeout: headersTimeoutMs,
    // How often that is looked at: node's own 30 s would let a slow head live twice as long.
    connectionsCheckingInterval: headersTimeoutMs / 10,
    requestTimeout: 0,
    maxHeaderSize: headersLimitBytes,
  }
  let isRefused: ReturnType<typeof guardClients> = () => false
  const taken: RequestListener = (request, response) => {
    noteDrain(response)
    if (!isRefused(request, response)) handler(request, response)
  }
  const server = options.tls ? createEncrypted(options.tls, limits, taken) : createServer(limits, taken)
  const connectionEvent = options.tls ? 'secureConnection' : 'connection'
  const noteDrain = watchDrain(server, connectionEvent)
  if (options.guard)
    isRefused = guardClients(server, {
      limits: { ...usualClientLimits(), ...options.guard.limits },
      isEncrypted: options.tls !== undefined,
      trustedProxies,
      metrics: options.guard.metrics,
    })
  const proxies = listOf(trustedProxies)
  server.on(connectionEvent, (socket: object) => trustProxies(socket, proxies))
  // A client that waits before it sends a body is told to go on by the code that takes the body, after it was let in; node's own
  // answer would come before any check.
  server.on('checkContinue', taken)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.host ?? '0.0.0.0', resolve)
  }).catch((cause: NodeJS.ErrnoException) => {
    throw listenError(cause, options)
  })
  return { server, port: (server.address() as AddressInfo).port }
}

function createEncrypted(tls: Tls, limits: ServerOptions, handler: RequestListener): Server {
  const { cert, key } = tls.current()
  const server = createSecureServer({ ...limits, cert, key, handshakeTimeout: longestHeadersMs }, handler)
  // New connections get the new pair; those that are open go on with what they have agreed on.
  tls.onChange((pair) => server.setSecureContext({ cert: pair.cert, key: pair.key }))
  return server
}

// No such host, none of this machine, or no address at all.
const noAddress = new Set(['EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN', 'EINVAL', 'EAFNOSUPPORT'])

function listenError(cause: NodeJS.ErrnoException, { port, host }: { port: number; host?: string }): unknown {
  if (host !== undefined && noAddress.has(cause.code ?? ''))
    return new StartupError(
      `BERTH_HOST=${host} is no address of this machine (${cause.code})`,
      'give the address or name of a network interface here; 0.0.0.0 stands for all of them',
      { cause },
    )
  if (cause.code === 'EADDRINUSE')
    return new StartupError(
      `port ${port} is in use`,
      `stop what listens there, or choose another port with BERTH_PORT`,
      { cause },
    )
  if (cause.code === 'EACCES')
    return new StartupError(`port ${port} may not be opened by this user`, 'choose a port above 1023 with BERTH_PORT', {
      cause,
    })
  return cause
}

/** Stops taking connections, lets running requests end for `graceMs`, then cuts what is left. */
export async function closeServer(server: Server, graceMs = 5_000): Promise<void> {
  const closed = new Promise<void>((resolve) => void server.close(() => resolve()))
  beginDrain(server)
  server.closeIdleConnections()
  // Of an answer that had begun before, its client does not know that the connection ends with it.
  const sweep = setInterval(() => server.closeIdleConnections(), idleSweepMs)
  const cut = setTimeout(() => server.closeAllConnections(), graceMs)
  await closed
  clearInterval(sweep)
  clearTimeout(cut)
}

const idleSweepMs = 200

type Alone = {
  service: Service
  log: Logger
  metrics: Metrics
  port: number
  host: string
  internalPort: number
  internalHost: string
  internalTls: InternalTls | undefined
}

/**
 * Runs one service as a process of its own until SIGTERM or SIGINT. Its public listener speaks https when BERTH_TLS_CERT is
 * set, and its internal one when it is given `internalTls`.
 */
export async function runAlone(build: () => Alone | Promise<Alone>): Promise<void> {
  let drainMs = 0
  await runUntilSignal(
    async () => {
      drainMs = readConfig(drainSettings, process.env).drainSeconds * 1_000
      const { service, log, metrics, port, host, internalPort, internalHost, internalTls } = await build()
      const life = new Lifecycle(log)
      const traces = await startTraces(readConfig(traceSettings, process.env), log)
      if (traces) life.onStop('traces', () => traces.stop())
      const operations = { services: [service], metrics, log, ...readConfig(operationsSettings, process.env) }
      const listener: RequestListener = (request, response) => {
        if (!answerOperations(request, response, operations)) service.public(request, response)
      }
      const tls = await openTls(readConfig(tlsSettings, process.env), log)
      if (tls) life.onStop('tls', () => tls.stop())
      let started = false
      const internal: RequestListener = (request, response) => {
        if (started) service.internal(request, response)
        else answerStarting(response, service.name)
      }
      if (internalTls) life.onStop('internal tls', () => internalTls.shown.stop())
      const inside = await listen(internal, { port: internalPort, host: internalHost, tls: internalTls?.shown })
      const closeInside = () => closeServer(inside.server, internalGraceMs)
      life.onStop('internal listener', closeInside)
      await life.add(service.name, async () => {
        await service.start()
        started = true
        return () => service.stop()
      })
      // It is there before the service and is gone before it too: who asked a service without its database would be refused.
      life.onStop('internal listener', closeInside)
      await life.add('public listener', async () => {
        const { server } = await listen(listener, {
          port,
          host,
          tls,
          guard: { metrics },
          ...readConfig(listenSettings, process.env),
        })
        return () => closeServer(server, drainMs)
      })
      log.info('service is ready', { port, version })
      return () => life.stop()
    },
    { drainMs: () => drainMs },
  )
}

// What services ask each other takes milliseconds.
const internalGraceMs = 2_000
// Berth stops within ten seconds, and a slow disk may take some more.
const longestStopMs = 30_000

/**
 * Starts a program and stops it cleanly on SIGTERM or SIGINT. What keeps it from starting is printed as one message and
 * ends the process with code 1; a fault that was not handled ends it too, because its state can no longer be trusted; so does
 * what has not stopped after `stopsWithinMs`, and the time that it gives to requests under way.
 */
export async function runUntilSignal(
  start: () => Promise<() => Promise<void>>,
  { stopsWithinMs = longestStopMs, drainMs = () => 0 }: { stopsWithinMs?: number; drainMs?: () => number } = {},
): Promise<void> {
  let stop: (() => Promise<void>) | undefined
  const fail = (error: unknown) => {
    process.stderr.write(`${stop ? faultMessage(error) : startupMessage(error)}\n`)
    process.exit(1)
  }
  let asked = false
  /** What does not stop is left: after a kill -9 all is there as well, and nobody need wait for one. */
  const end = async (stopAll: () => Promise<void>) => {
    const longestMs = stopsWithinMs + drainMs()
    const late = () => fail(new Error(`not everything stopped within ${longestMs / 1_000} s; the log names it`))
    setTimeout(late, longestMs)
    await stopAll().then(() => process.exit(0), fail)
  }
  const onSignal = () => {
    if (asked) return
    asked = true
    if (stop) end(stop).catch(fail)
    // A start that waits for something else may wait for long.
    else setTimeout(() => fail(new Error('told to stop before it had started')), stopsWithinMs)
  }
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  process.on('unhandledRejection', fail)
  process.on('uncaughtException', fail)
  try {
    refuseUnknownVariables(process.env)
    stop = await start()
  } catch (error) {
    fail(error)
  }
  // A signal that came during the start: everything is up now, so it can be stopped in order.
  if (asked && stop) await end(stop)
}
