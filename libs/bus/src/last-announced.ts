import { AckPolicy, DeliverPolicy, type JsMsg, nanos } from 'nats'
import { type Bus, streamOf } from './connection.ts'
import type { EventSource } from './events/event.ts'
import type { Announced } from './jump.ts'

// The last one need not be the highest: a relay that was ended sends up to a batch again, and replicas do so together.
const looked = 1_000
const expiresMs = 5_000
// By the server, should we be ended before we say that we are done.
const forgottenMs = 30_000
// No service announces so many, and another writer to the stream cannot use up the numbers that are left.
const highest = 2 ** 52

/** The event with the highest position among the last 1,000 messages of a stream; `undefined` when there is none. */
export async function lastAnnounced(bus: Bus, source: EventSource): Promise<Announced | undefined> {
  const manager = await bus.connection.jetstreamManager({ timeout: 5_000 })
  const { state } = await manager.streams.info(streamOf(source))
  if (state.messages === 0) return undefined
  const { name, num_pending: held } = await manager.consumers.add(streamOf(source), {
    ack_policy: AckPolicy.None,
    headers_only: true,
    mem_storage: true,
    inactive_threshold: nanos(forgottenMs),
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: Math.max(state.first_seq, state.last_seq - looked + 1),
  })
  const consumer = await bus.jetstream.consumers.get(streamOf(source), name)
  const messages = await consumer.fetch({ max_messages: looked, expires: expiresMs })
  let last: Announced | undefined
  let left = held
  for await (const message of messages) {
    const one = readHeaders(message, source)
    if (one && one.position > (last?.position ?? 0)) last = one
    left = message.seq >= state.last_seq ? 0 : message.info.pending
    if (left === 0) break
  }
  messages.stop()
  await consumer.delete()
  // Taken for an empty one, it would let us announce below what it has.
  if (left > 0) throw new Error(`the stream of ${source} cannot be read to its end`)
  return last
}

function readHeaders({ headers }: JsMsg, source: EventSource): Announced | undefined {
  if (headers?.get('ce-source') !== `/services/${source}`) return undefined
  const position = Number(headers.get('ce-sequence'))
  return Number.isSafeInteger(position) && position <= highest ? { position, id: headers.get('ce-id') } : undefined
}
