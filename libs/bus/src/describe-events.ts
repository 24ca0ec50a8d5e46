import * as authEvents from './events/auth.ts'
import * as buildEvents from './events/build.ts'
import * as catalogEvents from './events/catalog.ts'
import { type EventKind, streamOfSource, subjectOf, typeOf } from './events/event.ts'
import { noteOf } from './events/field-notes.ts'
import * as registryEvents from './events/registry.ts'
import { scheduleEvents } from './events/schedules.ts'
import * as syncEvents from './events/sync.ts'
import { taskEvents } from './events/tasks.ts'
import { webhookEvents } from './events/webhooks.ts'

const groups = [
  authEvents,
  buildEvents,
  catalogEvents,
  registryEvents,
  syncEvents,
  taskEvents,
  scheduleEvents,
  webhookEvents,
] as const

/** Every kind of event that Berth announces, by source and name. */
export const allEvents: readonly EventKind<unknown>[] = groups
  .flatMap((group) => Object.values(group) as EventKind<unknown>[])
  .sort((a, b) => (typeOf(a) < typeOf(b) ? -1 : 1))

type Schema = Record<string, unknown>
type Document = Record<string, unknown>

const exampleId = '0196a9c2-5b7e-7c11-9c3d-2f1f0e4a7b10'

/** Whether events of a kind end their subject with the repository they are about. */
function isAboutRepository(kind: EventKind<unknown>): boolean {
  return 'repositoryId' in propertiesOf(kind) || kind.name.startsWith('distribution.')
}

function propertiesOf(kind: EventKind<unknown>): Record<string, Schema> {
  return kind.schema.properties as Record<string, Schema>
}

function subject(kind: EventKind<unknown>): string {
  return isAboutRepository(kind) ? subjectOf(kind, '{repositoryId}') : subjectOf(kind)
}

/** How the kinds are named in the ends of subjects and by filters. */
function tailOf({ source, name }: EventKind<unknown>): string {
  return `${source}.${name}`
}

const introduction = [
  'Announced on NATS JetStream, at least once, as CloudEvents 1.0 in JSON (structured mode; the attributes stand in headers `ce-…` too).',
  [
    'Events of a service come in the order of their `sequence`, and so do those of a repository. One may come again: its `id` and its',
    '`sequence` stay the same. Handle an event, note its `sequence` for its `source` in the same transaction, and pass over what is not',
    'higher: then each has its effect once. A sequence that is higher by more than one says that something is missing or that Berth was',
    'restored: read the stream from there.',
  ].join(' '),
  [
    'Within version 1 fields are only ever added: pass over those that you do not know. Streams keep events for seven days, and are filled',
    'again where a server loses its store.',
  ].join(' '),
].join('\n\n')

/** The AsyncAPI 3 document of all events, by which alone a subscriber can be written. */
export function asyncApiDocument(): Document {
  const channels = allEvents.map((kind) => [typeOf(kind), channel(kind)])
  const messages = allEvents.map((kind) => [typeOf(kind), message(kind)])
  const operations = allEvents.map((kind) => [
    `announce ${typeOf(kind)}`,
    { action: 'send', channel: { $ref: `#/channels/${typeOf(kind)}` } },
  ])
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Berth events',
      version: '1.0.0',
      description: introduction,
    },
    defaultContentType: 'application/cloudevents+json',
    servers: {
      nats: {
        host: '{host}',
        protocol: 'nats',
        description:
          'The NATS server that Berth uses. The one that it brings stands in BERTH_HOME/nats/url, and the seed of its user `reader` in BERTH_HOME/nats/reader.nk.',
        variables: { host: { default: 'localhost:4222', description: 'Host and port.' } },
        security: [{ $ref: '#/components/securitySchemes/reader' }],
      },
    },
    channels: Object.fromEntries(channels),
    operations: Object.fromEntries(operations),
    components: { securitySchemes: { reader }, messages: Object.fromEntries(messages) },
  }
}

const reader = {
  type: 'asymmetricEncryption',
  description: [
    'An nkey of NATS (Ed25519): the client signs the nonce of the server with the seed. The user `reader` hears the events of all tenants,',
    'so its seed is for administrators. It may subscribe to `berth.v1.>`, and make and read consumers that are there for a moment on the',
    'streams that `x-stream` names, under inboxes that begin with `_INBOX.`. It may ask nothing of streams ($JS.API.STREAM.…), so that a',
    'client has to be told the name of the stream and cannot look for it.',
  ].join(' '),
}

function channel(kind: EventKind<unknown>): Document {
  return {
    address: subject(kind),
    description: kind.summary,
    servers: [{ $ref: '#/servers/nats' }],
    ...(isAboutRepository(kind)
      ? {
          parameters: {
            repositoryId: {
              description:
                'The id of the repository; subscribe to `*` there for all. Absent, with the dot before it, where there is none.',
            },
          },
        }
      : {}),
    messages: { event: { $ref: `#/components/messages/${typeOf(kind)}` } },
    'x-stream': streamOfSource[kind.source],
  }
}

function message(kind: EventKind<unknown>): Document {
  const example = exampleOf(kind)
  return {
    name: typeOf(kind),
    title: tailOf(kind),
    summary: kind.summary,
    contentType: 'application/cloudevents+json',
    headers: {
      type: 'object',
      properties: {
        'Nats-Msg-Id': { type: 'string', description: 'The id of the event.' },
        'content-type': { const: 'application/cloudevents+json' },
      },
    },
    payload: envelope(kind),
    examples: [{ name: 'event', payload: example }],
  }
}

/** An event as it may come. */
export function exampleOf(kind: EventKind<unknown>): Record<string, unknown> {
  const data = Object.keys(propertiesOf(kind)).map((field) => [field, noteOf(tailOf(kind), field, false).example])
  return {
    specversion: '1.0',
    id: '01977f3e-5b7e-7c11-9c3d-2f1f0e4a7b10',
    source: `/services/${kind.source}`,
    type: typeOf(kind),
    ...(isAboutRepository(kind) ? { subject: `repositories/${exampleId}`, partitionkey: exampleId } : {}),
    time: '2026-11-29T02:30:00.420Z',
    datacontenttype: 'application/json',
    sequence: '4711',
    actor: 'ann',
    actorid: exampleId,
    data: Object.fromEntries(data),
  }
}

/** The schema of data as subscribers may rely on it: what its fields tell, and that there may be more of them one day. */
function published(tail: string, schema: Schema, isInner = false): Schema {
  const { additionalProperties, properties, items, anyOf, ...rest } = schema
  return {
    ...rest,
    // A schema of values says what any name holds; `false` is for those that announce.
    ...(typeof additionalProperties === 'object' ? { additionalProperties } : {}),
    ...(items ? { items: published(tail, items as Schema, true) } : {}),
    ...(anyOf ? { anyOf: (anyOf as Schema[]).map((one) => published(tail, one, true)) } : {}),
    ...(properties
      ? {
          properties: Object.fromEntries(
            Object.entries(properties as Record<string, Schema>).map(([name, one]) => {
              const { description, example } = noteOf(tail, name, isInner)
              const examples = example === undefined ? {} : { examples: [example] }
              return [name, { ...published(tail, one, true), description, ...examples }]
            }),
          ),
        }
      : {}),
  }
}

function envelope(kind: EventKind<unknown>): Document {
  return {
    type: 'object',
    required: ['specversion', 'id', 'source', 'type', 'time', 'datacontenttype', 'sequence', 'data'],
    properties: {
      specversion: { const: '1.0', description: 'The version of CloudEvents.' },
      id: { type: 'string', format: 'uuid', description: 'The same each time the event is sent.' },
      source: { const: `/services/${kind.source}`, description: 'The service that announces it.' },
      type: { const: typeOf(kind), description: 'What happened.' },
      subject: { type: 'string', description: 'What it is about: repositories/<id>.' },
      time: { type: 'string', format: 'date-time', description: 'When it happened.' },
      datacontenttype: { const: 'application/json', description: 'What `data` is.' },
      partitionkey: { type: 'string', description: 'What the event is ordered by: the repository.' },
      sequence: {
        type: 'string',
        pattern: '^[0-9]{1,16}$',
        description:
          'The position among all events of the source, a number below 2^53 written as a string; grows by one, and by more once after a restore.',
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
      correlationid: { type: 'string', description: 'The request or task that led to it.' },
      data: published(tailOf(kind), kind.schema),
    },
  }
}

/** The events as a Markdown table. */
export function eventsTable(): string {
  const rows = allEvents.map((kind) => {
    const fields = Object.keys(propertiesOf(kind))
    return `| \`${subject(kind)}\` | ${streamOfSource[kind.source]} | ${kind.summary} | ${fields.map((field) => `\`${field}\``).join(', ')} |`
  })
  return ['| Subject | Stream | When | Data |', '| --- | --- | --- | --- |', ...rows].join('\n')
}
