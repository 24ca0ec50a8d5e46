import { badField, createStreamCount, type Database, type Handlers, type Logger } from '@berth/service'
import type { operations } from '../openapi-types.ts'
import { unlessRefused } from '../watch/unless-refused.ts'
import { createFilter } from './filter.ts'
import { streamEvents } from './stream.ts'
import type { Tail } from './tail.ts'

const mostStreams = 20

/** The API of what was announced. */
export function eventHandlers({ db, log, tail }: { db: Database; log: Logger; tail: () => Tail }) {
  const countStream = createStreamCount(mostStreams, 'events')
  return {
    watchEvents: async ({ query, principal, whoNow, response, signal }) => {
      const { events = [], repositories = [] } = query
      const filter = createFilter({ events, repositories })
      const after = readPlace(response.req.get('last-event-id') ?? query.after)
      const reading = { db, tail: tail() }
      countStream({ principal, response, signal })
      const reader = { principal, whoNow: () => whoNow().catch(unlessRefused), response, signal, after, filter }
      // Its errors are for the log: the answer has begun, and a reader that is cut comes back with the id that it has.
      streamEvents(reading, reader)
        .catch((error: unknown) => {
          if (!signal.aborted) log.info('a stream of events was ended', { who: principal.name, error })
        })
        .finally(() => response.destroyed || response.end())
      return undefined
    },
  } satisfies Partial<Handlers<operations>>
}

/** A place in the log. Throws 400: a browser sends back what it was sent. */
function readPlace(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  if (!/^\d{1,15}$/.test(text))
    throw badField(
      'Last-Event-ID',
      `"${text.slice(0, 40)}" is no id of an event`,
      'Send the last id that came, or none.',
    )
  return Number(text)
}
