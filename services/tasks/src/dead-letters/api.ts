import type { DeadLetter } from '@berth/bus'
import type { DeadLetters } from '@berth/host'
import { badCursor, type Handlers, isUuid, type Logger, notFound, readPage } from '@berth/service'
import type { operations } from '../openapi-types.ts'

type Owners = Record<string, DeadLetters>
type Name = { service: string; consumer: string; eventId: string }

const timeoutMs = 2_000

/** The API of the events that services could not handle and have set aside: each of them is asked for its own. */
export function deadLetterHandlers(owners: Owners, log: Logger) {
  const services = Object.keys(owners).sort()
  const find = (id: string): { owner: DeadLetters; consumer: string; eventId: string } => {
    const name = readId(id)
    const owner = name && owners[name.service]
    if (!name || !owner) throw notFound('dead_letter', id)
    return { owner, consumer: name.consumer, eventId: name.eventId }
  }
  return {
    listDeadLetters: async ({ query, requestId, signal }) => {
      const { after, limit } = readPage(query)
      const from = after === undefined ? undefined : readId(after)
      if (after !== undefined && !from) throw badCursor()
      const unavailable: string[] = []
      // All at once: what each that is away costs is waited for once.
      const pages = await Promise.all(
        services.map(async (service) => {
          if (from && service < from.service) return []
          const request = { after: from?.service === service ? from : null, limit: limit + 1 }
          try {
            const reply = await owners[service]?.call('list-dead-letters', request, { requestId, signal, timeoutMs })
            return (reply?.letters ?? []).map((letter) => ({ service, letter }))
          } catch (error) {
            signal.throwIfAborted()
            log.warn('a service does not tell of its dead letters', { to: service, error })
            unavailable.push(service)
            return []
          }
        }),
      )
      const found = pages.flat()
      const items = found.slice(0, limit).map(({ service, letter }) => showLetter(service, letter))
      const next = found.length > limit ? Buffer.from(items.at(-1)?.id ?? '').toString('base64url') : null
      return { status: 200, body: { items, next, unavailable: unavailable.sort() } }
    },
    showDeadLetter: async ({ params, requestId, signal }) => {
      const { owner, ...name } = find(params.deadLetter)
      const { letter } = await owner.call('find-dead-letter', name, { requestId, signal })
      const [service = ''] = params.deadLetter.split(':')
      return { status: 200, body: { ...showLetter(service, letter), event: letter.event } }
    },
    replayDeadLetter: async ({ params, requestId, signal }) => {
      const { owner, ...name } = find(params.deadLetter)
      await owner.call('replay-dead-letter', name, { requestId, signal })
      return { status: 204 }
    },
  } satisfies Partial<Handlers<operations>>
}

function showLetter(service: string, { consumer, eventId, type, reason, attempts, buriedAt }: DeadLetter) {
  return { id: `${service}:${consumer}:${eventId}`, service, consumer, eventId, type, reason, attempts, buriedAt }
}

function readId(id: string): Name | undefined {
  const [service = '', consumer = '', eventId = '', ...more] = id.split(':')
  return service && consumer && isUuid(eventId) && more.length === 0 ? { service, consumer, eventId } : undefined
}
