import { setTimeout as delay } from 'node:timers/promises'
import type { Logger, Metrics } from '@berth/service'
import { StartupError } from '@berth/service'
import {
  type ConnectionOptions,
  connect,
  DiscardPolicy,
  ErrorCode,
  Events,
  type JetStreamClient,
  type JetStreamManager,
  type NatsConnection,
  NatsError,
  RetentionPolicy,
  type Status,
  StorageType,
} from 'nats'
import { type EventSource, streamOfSource } from './events/event.ts'
import { logInBySeed } from './nats-login.ts'
import { forgetNats, isAnyAway, measureNats, noteNats } from './nats-state.ts'
import { inboxPrefixOf } from './nats-users.ts'

/**
 * The connection to NATS. It never gives up; everything built on it copes with NATS being away. Until there was a first
 * connection, `connection` and `jetstream` throw a `NatsError`, as what is sent over a lost connection does.
 */
export type Bus = {
  readonly connection: NatsConnection
  readonly jetstream: JetStreamClient
  /** Calls back after each time the connection was made, again or late. */
  onReconnect(listener: () => void): () => void
  close(): Promise<void>
}

const nanos = 1_000_000
const keptDays = 7
const dayMs = 86_400_000
const connectTimeoutMs = 2_000
const reconnectWaitMs = 250
// An operator has to mend the credentials; until then the log is not to be filled.
const refusedWaitMs = 10_000

/**
 * Connects to NATS, or begins to try: with NATS away Berth starts and works all the same (docs/guarantees.md, N1).
 * Throws `StartupError` when the server refuses them.
 */
export async function connectBus(options: {
  url: string
  /** The service that connects. */
  name: string
  /** The seed of its own user; without one the login of the URL is used. */
  seed?: string | undefined
  log: Logger
  metrics?: Pick<Metrics, 'registry'>
}): Promise<Bus> {
  const { log, metrics } = options
  const { host } = new URL(options.url)
  const self = {}
  const note = (isAway: boolean) => noteNats(host, self, isAway, log)
  if (metrics) measureNats(metrics)
  const listeners = new Set<() => void>()
  const closing = new AbortController()
  let link: { connection: NatsConnection; jetstream: JetStreamClient } | undefined
  const refused = ({ data, permissionContext }: Status) => {
    if (data === ErrorCode.PermissionsViolation) log.error('nats does not let do what is needed', permissionContext)
  }
  const take = (connection: NatsConnection) => {
    link = { connection, jetstream: connection.jetstream({ timeout: 5_000 }) }
    note(false)
    watch(connection, note, listeners, refused).catch((error: unknown) =>
      log.error('nats is not watched any more', { error }),
    )
  }
  const current = () => {
    if (!link) throw new NatsError('nats is away', ErrorCode.Disconnect)
    return link
  }

  const first = await open(options)
  if (first) take(first)
  else note(true)
  const late = first ? undefined : openLate(options, closing.signal, take, listeners)
  late?.catch((error: unknown) => log.error('nats is not tried any more', { error }))
  return {
    get connection() {
      return current().connection
    },
    get jetstream() {
      return current().jetstream
    },
    onReconnect: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    close: async () => {
      listeners.clear()
      closing.abort()
      forgetNats(host, self)
      await late
      await link?.connection.close()
    },
  }
}

/** Goes on trying until there is a connection or `signal` ends it. */
async function openLate(
  options: Login & { log: Logger },
  signal: AbortSignal,
  take: (connection: NatsConnection) => void,
  listeners: Set<() => void>,
): Promise<void> {
  while (!signal.aborted) {
    let waitMs = reconnectWaitMs
    try {
      const connection = await open(options)
      if (connection) {
        take(connection)
        for (const listener of listeners) listener()
        return
      }
    } catch (error) {
      options.log.error('nats refuses the connection', { error })
      waitMs = refusedWaitMs
    }
    await delay(waitMs, undefined, { signal }).catch(() => 'closed')
  }
}

type Login = { url: string; name: string; seed?: string | undefined }

function loginOf(username: string, password: string): ConnectionOptions {
  if (password) return { user: decodeURIComponent(username), pass: decodeURIComponent(password) }
  return username ? { token: decodeURIComponent(username) } : {}
}

/** Tries once; `undefined` when there is no answer. Throws `StartupError` when the server refuses the credentials. */
async function open({ url, name, seed }: Login): Promise<NatsConnection | undefined> {
  const { username, password, host } = new URL(url)
  const settings: ConnectionOptions = {
    servers: host,
    name: `berth-${name}`,
    maxReconnectAttempts: -1,
    reconnectTimeWait: reconnectWaitMs,
    reconnectJitter: 100,
    timeout: connectTimeoutMs,
    pingInterval: 5_000,
    maxPingOut: 2,
    ...(seed === undefined
      ? loginOf(username, password)
      : { authenticator: logInBySeed(seed), inboxPrefix: inboxPrefixOf(name) }),
  }
  try {
    return await connect(settings)
  } catch (cause) {
    // Refused, no such host, no answer in time: whatever it is, it may pass. Only wrong credentials do not.
    if (!(cause instanceof NatsError) || !cause.isAuthError()) return undefined
    const reason = cause.code
    throw new StartupError(
      `NATS at ${host} refuses the connection: ${reason}`,
      seed === undefined
        ? 'check BERTH_NATS_URL and the credentials in it'
        : `check that its configuration has the user of BERTH_NATS_SEED of ${name}`,
      { cause },
    )
  }
}

async function watch(
  connection: NatsConnection,
  note: (isAway: boolean) => void,
  listeners: Set<() => void>,
  onError: (status: Status) => void,
): Promise<void> {
  for await (const status of connection.status()) {
    if (status.type === Events.Disconnect) note(true)
    if (status.type === Events.Error) onError(status)
    if (status.type === Events.Reconnect) {
      note(false)
      for (const listener of listeners) listener()
    }
  }
}

// How the client says that the server is not there, or does not answer; whether it is away is told by the state of the connection.
const awayCodes = new Set<string>([
  ErrorCode.Disconnect,
  ErrorCode.ConnectionClosed,
  ErrorCode.ConnectionRefused,
  ErrorCode.ConnectionTimeout,
  ErrorCode.ConnectionDraining,
])
// Said too of a server that is there.
const silentCodes = new Set<string>([ErrorCode.NoResponders, ErrorCode.Timeout])

/** Whether an error says no more than that NATS is away, which is logged once (`noteNats`). */
export function isNatsAway(error: unknown): boolean {
  if (!(error instanceof NatsError)) return false
  return awayCodes.has(error.code) || (silentCodes.has(error.code) && isAnyAway())
}

/** The stream that holds the events of one source. */
export function streamOf(source: EventSource): string {
  return streamOfSource[source]
}

/** Makes sure that the stream of a source exists. Answers whether it had to be made: then nothing is in it. */
export async function ensureEventStream(bus: Bus, source: EventSource): Promise<'present' | 'made'> {
  return ensureStream(await bus.connection.jetstreamManager({ timeout: 5_000 }), streamOf(source), {
    subjects: [`berth.v1.${source}.>`],
    retention: RetentionPolicy.Limits,
    max_age: keptDays * dayMs * nanos,
  })
}

export const workStream = 'WORK'

/** Makes sure that the stream of the work queues exists. */
export async function ensureWorkStream(bus: Bus): Promise<'present' | 'made'> {
  return ensureStream(await bus.connection.jetstreamManager({ timeout: 5_000 }), workStream, {
    subjects: ['berth.work.*'],
    retention: RetentionPolicy.Workqueue,
    max_age: (dayMs / 24) * nanos,
  })
}

type StreamSettings = { subjects: string[]; retention: RetentionPolicy; max_age: number }

async function ensureStream(
  manager: JetStreamManager,
  name: string,
  settings: StreamSettings,
): Promise<'present' | 'made'> {
  try {
    await manager.streams.info(name)
    return 'present'
  } catch (error) {
    if (!(error instanceof NatsError) || error.api_error?.code !== 404) throw error
  }
  await manager.streams.add({
    name,
    ...settings,
    storage: StorageType.File,
    discard: DiscardPolicy.Old,
    duplicate_window: 120_000 * nanos,
  })
  return 'made'
}
