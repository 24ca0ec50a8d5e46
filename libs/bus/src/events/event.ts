import type { Actor } from '@berth/service'
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { v7 as uuidv7 } from 'uuid'

/** The services that announce events; each has a stream of its own, named in capitals. */
export const eventSources = ['registry', 'catalog', 'sync', 'tasks', 'build', 'auth'] as const
export type EventSource = (typeof eventSources)[number]

/** The streams that hold the events of each source. */
export const streamOfSource: Record<EventSource, string> = {
  registry: 'REGISTRY',
  catalog: 'CATALOG',
  sync: 'SYNC',
  tasks: 'TASK',
  build: 'BUILD',
  auth: 'AUTH',
}

type Schema = Record<string, unknown>

/** One kind of event: who announces it, its name `<entity>.<pastVerb>`, and the JSON Schema of its data. */
export type EventKind<Data> = {
  source: EventSource
  name: string
  summary: string
  schema: Schema
  /** Only here to carry the type. */
  readonly example?: Data
}

/** An event before it has a place in the outbox. `repositoryId` orders it and stands in its subject. */
export type NewEvent<Data = unknown> = {
  kind: EventKind<Data>
  data: Data
  repositoryId?: string
  actor?: Actor
  correlationId?: string
}

/** A CloudEvents 1.0 event as it travels; `sequence` is its position in the outbox of its source. */
export type CloudEvent<Data = unknown> = {
  specversion: '1.0'
  id: string
  source: string
  type: string
  subject?: string
  time: string
  datacontenttype: 'application/json'
  partitionkey?: string
  /** The name of who did it, to be shown. */
  actor?: string
  /** The id of its account. */
  actorid?: string
  correlationid?: string
  /**
   * The span that recorded it, where its trace is recorded (the extension for distributed tracing of CloudEvents). Only for its way
   * between services: nobody that is told of the event is told this.
   */
  traceparent?: string
  sequence?: string
  data: Data
}

/** Largest event in bytes; its maker cuts its lists so that it fits. */
export const eventLimitBytes = 256 << 10

// That the schemas of our events are schemas is for describe-events.test.ts to say, and not for every start again.
const ajv = new Ajv2020({ allErrors: true, allowUnionTypes: true, validateSchema: false })
// The package is CommonJS: its default export is the function only behind `default` for some loaders.
const plugin = (formats as unknown as { default?: typeof formats }).default ?? formats
/** Has a validator know `uuid`, `date-time` and other formats; answers it. */
export const addFormats = plugin as unknown as (target: Ajv2020) => Ajv2020
addFormats(ajv)

/** Declares a kind of event. */
export function defineEvent<Data>(
  source: EventSource,
  name: string,
  summary: string,
  properties: Schema,
  optional: readonly string[] = [],
): EventKind<Data> {
  const required = Object.keys(properties).filter((key) => !optional.includes(key))
  return { source, name, summary, schema: { type: 'object', additionalProperties: false, properties, required } }
}

/** Of a row what a kind of event tells: a column that is new is announced when the event declares it, and not before. */
export function declaredOf<Data>(kind: EventKind<Data>, row: Data & object): Data {
  const told = kind.schema.properties as Schema
  return Object.fromEntries(Object.entries(row).filter(([key]) => key in told)) as Data
}

/** The subject an event travels on; names never stand in it, for they leak and hold odd characters. */
export function subjectOf(kind: EventKind<unknown>, repositoryId?: string): string {
  return `berth.v1.${kind.source}.${kind.name}${repositoryId ? `.${repositoryId}` : ''}`
}

/** The CloudEvents type of a kind. */
export function typeOf(kind: EventKind<unknown>): string {
  return `dev.berth.${kind.source}.${kind.name}.v1`
}

/** Throws when the data break the kind's schema: such an event is a fault of the announcer and is not sent. */
function checkEventData(kind: EventKind<unknown>, data: unknown): void {
  const check = ajv.getSchema(typeOf(kind)) ?? ajv.addSchema(kind.schema, typeOf(kind)).getSchema(typeOf(kind))
  if (!check?.(data)) throw new TypeError(`event ${typeOf(kind)} breaks its schema: ${ajv.errorsText(check?.errors)}`)
}

/** Makes the envelope. The id is a UUID v7, which is also the outbox row and the message id. */
export function toCloudEvent<Data>(event: NewEvent<Data>, traceparent?: string): CloudEvent<Data> {
  checkEventData(event.kind, event.data)
  return {
    specversion: '1.0',
    id: uuidv7(),
    source: `/services/${event.kind.source}`,
    type: typeOf(event.kind),
    ...(event.repositoryId ? { subject: `repositories/${event.repositoryId}`, partitionkey: event.repositoryId } : {}),
    time: new Date().toISOString(),
    datacontenttype: 'application/json',
    ...(event.actor ? { actor: event.actor.name, ...(event.actor.id ? { actorid: event.actor.id } : {}) } : {}),
    ...(event.correlationId ? { correlationid: event.correlationId } : {}),
    ...(traceparent ? { traceparent } : {}),
    data: event.data,
  }
}
