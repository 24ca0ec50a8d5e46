import type { Logger } from '@berth/service'
import { AckPolicy, type Consumer, ErrorCode, type JsMsg, NatsError } from 'nats'
import { type Bus, ensureWorkStream, workStream } from './connection.ts'
import { startLoop } from './loop.ts'

const expiresMs = 1_000
const pauseAfterFailureMs = 1_000
// nats types the codes of its errors as texts
const noResponders: string = ErrorCode.NoResponders

/**
 * Tells the workers of a kind that there is work. Only a doorbell: the work itself is a row that workers also poll for, so
 * a ring that NATS loses costs a delay and nothing else.
 */
export async function announceWork(bus: Bus, kind: string, id: string): Promise<void> {
  try {
    await bus.jetstream.publish(`berth.work.${kind}`, JSON.stringify({ id }), {
      msgID: `${kind}:${id}`,
      timeout: 1_000,
    })
  } catch (error) {
    if (!(error instanceof NatsError)) throw error
    // The stream is not there yet, or no more. For any other reason NATS is away, and more waiting is of no use: the pollers
    // will find the work.
    if (error.code === noResponders) await ensureWorkStream(bus).catch(() => 'away')
  }
}

/** Calls `onRing` for each announcement of a kind that falls to this worker. */
export function listenForWork(options: { bus: Bus; kind: string; log: Logger; onRing: () => void }): {
  stop(): Promise<void>
} {
  const { bus, kind, log } = options
  return startLoop({
    pollMs: pauseAfterFailureMs,
    pauseAfterFailureMs,
    onError: (error) => log.debug('work queue will be tried again', { kind, error }),
    run: async (signal) => {
      await ensureWorkStream(bus)
      const manager = await bus.connection.jetstreamManager({ timeout: 5_000 })
      await manager.consumers.add(workStream, {
        durable_name: `workers-${kind}`,
        ack_policy: AckPolicy.Explicit,
        filter_subject: `berth.work.${kind}`,
      })
      const consumer = await bus.jetstream.consumers.get(workStream, `workers-${kind}`)
      while (!signal.aborted) {
        const message = await nextRing(consumer, signal)
        if (!message) continue
        message.ack()
        options.onRing()
      }
    },
  })
}

/** The next announcement; `undefined` when none comes for a second, and at once when `signal` aborts. */
async function nextRing(consumer: Consumer, signal: AbortSignal): Promise<JsMsg | undefined> {
  const messages = await consumer.fetch({ max_messages: 1, expires: expiresMs })
  // The server sees that this worker waits no more, and keeps the next announcement for another worker.
  const stop = () => messages.stop()
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  try {
    for await (const message of messages) return message
    return undefined
  } finally {
    signal.removeEventListener('abort', stop)
    stop()
  }
}
