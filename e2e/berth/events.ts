import { readFileSync } from 'node:fs'
import path from 'node:path'
import type { CloudEvent } from '@berth/bus'
import { connect, NatsError } from 'nats'
import { until } from './processes.ts'

/** The URL of the nats-server that a standalone stack runs itself. */
export function embeddedNatsUrl(home: string): string {
  return readFileSync(path.join(home, 'nats', 'url'), 'utf8').trim()
}

/** The events on a JetStream stream whose subject begins with `subject`, oldest first. */
export async function readEvents(natsUrl: string, stream: string, subject: string): Promise<CloudEvent[]> {
  const { username: user, password, host: servers } = new URL(natsUrl)
  const pass = decodeURIComponent(password)
  const connection = await connect({ servers, ...(pass ? { user, pass } : {}) })
  try {
    const manager = await connection.jetstreamManager()
    const { state } = await manager.streams.info(stream)
    const events: CloudEvent[] = []
    // An empty stream has the numbers 0 to 0.
    for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq++) {
      const message = await manager.streams.getMessage(stream, { seq })
      if (message.subject.startsWith(subject)) events.push(message.json<CloudEvent>())
    }
    return events
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
  natsUrl: string,
  stream: string,
  subject: string,
  isWanted: (event: CloudEvent) => boolean = () => true,
): Promise<CloudEvent> {
  return until(`an event ${subject}`, async () => (await readEvents(natsUrl, stream, subject)).find(isWanted))
}
