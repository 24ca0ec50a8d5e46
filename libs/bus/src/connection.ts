import type { Logger } from '@berth/service'
import { StartupError } from '@berth/service'
import {
  type ConnectionOptions,
  connect,
  DiscardPolicy,
  Events,
  type JetStreamClient,
  type JetStreamManager,
  type NatsConnection,
  NatsError,
  RetentionPolicy,
  StorageType,
} from 'nats'
import type { EventSource } from './event.ts'

/** The connection to NATS. It never gives up; everything built on it copes with NATS being away. */
export type Bus = {
  readonly connection: NatsConnection
  readonly jetstream: JetStreamClient
  /** Calls back after each time the connection was made again. */
  onReconnect(listener: () => void): () => void
  close(): Promise<void>
}

const nanos = 1_000_000
const keptDays = 7
const dayMs = 86_400_000
const connectTimeoutMs = 2_000

/**
 * Connects to NATS, or begins to try: with NATS away Berth starts and works all the same (design.md §3.1).
 * Credentials may stand in the URL. Throws `StartupError` when the server refuses them.
 */
export async function connectBus(options: { url: string; name: string; log: Logger }): Promise<Bus> {
  const listeners = new Set<() => void>()
  const connection = await open(options)
  void watch(connection, options.log, listeners)
  return {
    connection,
    jetstream: connection.jetstream({ timeout: 5_000 }),
    onReconnect: (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    close: async () => {
      listeners.clear()
      await connection.close()
    },
  }
}

async function open(options: { url: string; name: string }): Promise<NatsConnection> {
  const { username, password, host } = new URL(options.url)
  const settings: ConnectionOptions = {
    servers: host,
    name: options.name,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    reconnectJitter: 100,
    waitOnFirstConnect: true,
    timeout: connectTimeoutMs,
    pingInterval: 5_000,
    maxPingOut: 2,
    ...(password
      ? { user: decodeURIComponent(username), pass: decodeURIComponent(password) }
      : username
        ? { token: decodeURIComponent(username) }
        : {}),
  }
  try {
    return await connect(settings)
  } catch (cause) {
    const reason = cause instanceof NatsError ? cause.code : String(cause)
    throw new StartupError(
      `NATS at ${host} refuses the connection: ${reason}`,
      'check BERTH_NATS_URL and the credentials in it',
      { cause },
    )
  }
}

async function watch(connection: NatsConnection, log: Logger, listeners: Set<() => void>): Promise<void> {
  for await (const status of connection.status()) {
    if (status.type === Events.Disconnect) log.warn('nats is away')
    if (status.type === Events.Reconnect) {
      log.info('nats is back')
      for (const listener of listeners) listener()
    }
  }
}

/** The stream that holds the events of one source. */
export function streamOf(source: EventSource): string {
  return { registry: 'REGISTRY', catalog: 'CATALOG', sync: 'SYNC', tasks: 'TASK', build: 'BUILD', auth: 'AUTH' }[source]
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
