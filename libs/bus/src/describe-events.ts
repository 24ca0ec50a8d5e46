import * as authEvents from './events/auth.ts'
import * as catalogEvents from './events/catalog.ts'
import { type EventKind, streamOfSource, subjectOf, typeOf } from './events/event.ts'
import { scheduleEvents } from './events/schedules.ts'
import * as syncEvents from './events/sync.ts'
import { taskEvents } from './events/tasks.ts'
import { webhookEvents } from './events/webhooks.ts'

const groups = [authEvents, catalogEvents, syncEvents, taskEvents, scheduleEvents, webhookEvents] as const

/** Every kind of event that Berth announces, by source and name. */
export const allEvents: readonly EventKind<unknown>[] = groups
  .flatMap((group) => Object.values(group) as EventKind<unknown>[])
  .sort((a, b) => (typeOf(a) < typeOf(b) ? -1 : 1))

/** Whether events of a kind end their subject with the repository they are about. */
function isAboutRepository(kind: EventKind<unknown>): boolean {
  return 'repositoryId' in (kind.schema.properties as object) || kind.name.startsWith('distribution.')
}

function subject(kind: EventKind<unknown>): string {
  return isAboutRepository(kind) ? subjectOf(kind, '{repositoryId}') : subjectOf(kind)
}

/** The AsyncAPI 3 document of all events. */
export function asyncApiDocument(): Record<string, unknown> {
  const channels = allEvents.map((kind) => [
    typeOf(kind),
    {
      address: subject(kind),
      description: kind.summary,
      ...(isAboutRepository(kind)
        ? { parameters: { repositoryId: { description: 'The uuid of the repository.' } } }
        : {}),
      messages: { event: { $ref: `#/components/messages/${typeOf(kind)}` } },
    },
  ])
  const messages = allEvents.map((kind) => [
    typeOf(kind),
    { name: typeOf(kind), summary: kind.summary, contentType: 'application/cloudevents+json', payload: envelope(kind) },
  ])
  const operations = allEvents.map((kind) => [
    `announce ${typeOf(kind)}`,
    { action: 'send', channel: { $ref: `#/channels/${typeOf(kind)}` } },
  ])
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Berth events',
      version: '1.0.0',
      description: 'Announced on NATS JetStream at least once, in order for each repository, as CloudEvents 1.0.',
    },
    channels: Object.fromEntries(channels),
    operations: Object.fromEntries(operations),
    components: { messages: Object.fromEntries(messages) },
  }
}

function envelope(kind: EventKind<unknown>): Record<string, unknown> {
  const text = { type: 'string' }
  return {
    type: 'object',
    required: ['specversion', 'id', 'source', 'type', 'time', 'datacontenttype', 'sequence', 'data'],
    properties: {
      specversion: { const: '1.0' },
      id: { type: 'string', format: 'uuid', description: 'The same each time the event is sent.' },
      source: { const: `/services/${kind.source}` },
      type: { const: typeOf(kind) },
      subject: text,
      time: { type: 'string', format: 'date-time' },
      datacontenttype: { const: 'application/json' },
      partitionkey: { type: 'string', description: 'What the event is ordered by: the repository.' },
      sequence: {
        type: 'string',
        description: 'The position among all events of the source; grows by one, and by more once after a restore.',
      },
      actor: {
        type: 'string',
        description: 'The name of who did it, as it was then; another account may have it by now.',
      },
      actorid: {
        type: 'string',
        format: 'uuid',
        description: 'The account that did it; absent where it was Berth itself.',
      },
      correlationid: text,
      data: kind.schema,
    },
  }
}

/** The events as a Markdown table. */
export function eventsTable(): string {
  const rows = allEvents.map((kind) => {
    const fields = Object.keys(kind.schema.properties as object)
    return `| \`${subject(kind)}\` | ${streamOfSource[kind.source]} | ${kind.summary} | ${fields.map((field) => `\`${field}\``).join(', ')} |`
  })
  return ['| Subject | Stream | When | Data |', '| --- | --- | --- | --- |', ...rows].join('\n')
}
