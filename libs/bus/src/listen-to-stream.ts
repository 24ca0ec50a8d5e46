import type { Database } from '@berth/service'
import { AckPolicy, DeliverPolicy, type JsMsg, NatsError } from 'nats'
import { type Bus, streamOf } from './connection.ts'
import type { IsGenuine } from './event-marks.ts'
import type { CloudEvent, EventSource } from './events/event.ts'
import { readPosition } from './inbox.ts'
import { lastAnnounced } from './last-announced.ts'
import { readEvent } from './read-event.ts'

const ackWaitNanos = 30_000_000_000

/** Who listens to whom. */
export type Listening = {
  db: Database
  bus: Bus
  /** Names this consumer; its position and its dead letters are kept under it. */
  consumer: string
  source: EventSource
  /** Whether a message is of the owner; without it all are believed. */
  isGenuine?: IsGenuine
}

/** Whether a server knows no such stream: it is made when the owner announces again. */
export function isStreamMissing(error: unknown): boolean {
  return error instanceof NatsError && error.api_error?.code === 404
}

/**
 * Hands over what a stream has and gets, what came while others were handled together, until the signal is aborted, the connection is lost
 * or `onEvents` throws. Messages are acknowledged once they are handled.
 */
export async function listenToStream(
  options: Listening,
  signal: AbortSignal,
  onEvents: (events: (CloudEvent | undefined)[], isTrusted: boolean) => Promise<void>,
): Promise<void> {
  const { bus, source, consumer } = options
  const manager = await bus.connection.jetstreamManager({ timeout: 5_000 })
  await manager.consumers.add(streamOf(source), {
    durable_name: consumer,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    max_ack_pending: 100,
    ack_wait: ackWaitNanos,
  })
  const isTrusted = await trustFrom(options)
  const handle = await bus.jetstream.consumers.get(streamOf(source), consumer)
  const messages = await handle.consume({ max_messages: 100, expires: 5_000 })
  const stop = () => messages.stop()
  signal.addEventListener('abort', stop, { once: true })
  // Stopped while the server was asked, it would not hear of it any more, and listen for good.
  if (signal.aborted) stop()
  // After its store was wiped the server knows neither stream nor consumer; begin again from the top.
  watchHeartbeats(messages, stop).catch(stop)
  const arrived: JsMsg[] = []
  // What comes while events are handled is handled together afterwards.
  const drain = async () => {
    while (arrived.length > 0 && !signal.aborted) {
      const batch = arrived.splice(0)
      const events = batch.map((message) => readEvent(message, options.isGenuine))
      await onEvents(events, await isTrusted())
      for (const message of batch) message.ack()
    }
  }
  let draining: Promise<void> | undefined
  let failure: { error: unknown } | undefined
  try {
    for await (const message of messages) {
      if (signal.aborted) break
      arrived.push(message)
      draining ??= drain().then(
        () => {
          draining = undefined
        },
        (error: unknown) => {
          failure = { error }
          stop()
        },
      )
    }
    await draining
    if (failure) throw failure.error
  } finally {
    signal.removeEventListener('abort', stop)
    stop()
  }
}

/**
 * What the stream holds as we come to it may tell of a database that was lost and restored since: its events seem to be the next
 * ones, and never were. So until the owner has told us of everything up to there, a message only says that there is something to
 * ask for.
 */
async function trustFrom(options: Listening): Promise<() => Promise<boolean>> {
  const last = await lastAnnounced(options.bus, options.source)
  let isTrusted = last === undefined
  return async () => {
    isTrusted ||= (await readPosition(options.db, options)) >= (last?.position ?? 0)
    return isTrusted
  }
}

async function watchHeartbeats(
  messages: { status(): Promise<AsyncIterable<{ type: string }>> },
  stop: () => void,
): Promise<void> {
  for await (const status of await messages.status()) {
    if (
      status.type === 'consumer_deleted' ||
      status.type === 'consumer_not_found' ||
      status.type === 'stream_not_found'
    )
      stop()
  }
}
