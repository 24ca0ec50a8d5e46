import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { CloudEvent } from '@berth/bus'
import { AckPolicy, connect, type JsMsg, NatsError, nkeyAuthenticator } from 'nats'
import { until } from './processes.ts'

/** Where events are read: with the seed of the user `reader`, or with the login in the URL, where the server wants one. */
export type EventsPlace = { url: string; seed?: string }

/** The nats-server that a standalone stack runs itself. */
export function embeddedNats(home: string): EventsPlace {
  const read = (file: string) => readFileSync(path.join(home, 'nats', file), 'utf8').trim()
  return { url: read('url'), seed: read('reader.nk') }
}

/** The events on a JetStream stream whose subject begins with `subject`, oldest first. */
export function readEvents(place: EventsPlace, stream: string, subject: string): Promise<CloudEvent[]> {
  return readMessages(place, stream, subject, (message) => message.json<CloudEvent>())
}

/** What is read of each message on a JetStream stream whose subject begins with `subject`, oldest first. */
export async function readMessages<T>(
  { url, seed }: EventsPlace,
  stream: string,
  subject: string,
  read: (message: JsMsg) => T,
): Promise<T[]> {
  const { username: user, password: pass } = new URL(url)
  const shared = user === '' ? {} : { user, pass: decodeURIComponent(pass) }
  const login = seed === undefined ? shared : { authenticator: nkeyAuthenticator(Buffer.from(seed)) }
  const connection = await connect({ servers: new URL(url).host, ...login })
  try {
    const manager = await connection.jetstreamManager({ checkAPI: false })
    const { name, num_pending: held } = await manager.consumers.add(stream, { ack_policy: AckPolicy.None })
    if (held === 0) return []
    const found: T[] = []
    const messages = await (await connection.jetstream().consumers.get(stream, name)).consume()
    for await (const message of messages) {
      if (message.subject.startsWith(subject)) found.push(read(message))
      if (message.info.pending === 0) break
    }
    messages.stop()
    return found
  } catch (error) {
    // No stream means that nothing was announced yet.
    if (error instanceof NatsError && error.api_error?.code === 404) return []
    throw error
  } finally {
    await connection.close()
  }
}

/** Waits for an event on a stream. */
export function waitForEvent(
  place: EventsPlace,
  stream: string,
  subject: string,
  isWanted: (event: CloudEvent) => boolean = () => true,
): Promise<CloudEvent> {
  return until(`an event ${subject}`, async () => (await readEvents(place, stream, subject)).find(isWanted))
}
