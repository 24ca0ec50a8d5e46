import { createHash } from 'node:crypto'
import { nkeys } from 'nats'
import { type EventSource, eventSources, streamOfSource } from './events/event.ts'
import { publicKeyOf } from './nats-login.ts'

/** What each service follows, by the durable consumer that it has on the stream of another one. */
const followers: Readonly<Record<EventSource, Readonly<Partial<Record<EventSource, string>>>>> = {
  auth: { catalog: 'auth-catalog', sync: 'auth-sync' },
  build: { tasks: 'build-tasks' },
  catalog: {},
  registry: { catalog: 'registry-catalog' },
  sync: { tasks: 'sync-tasks' },
  // All that happens, to be shown and sent on.
  tasks: {
    auth: 'tasks-auth',
    build: 'tasks-build',
    catalog: 'tasks-catalog',
    registry: 'tasks-registry',
    sync: 'tasks-sync',
    tasks: 'tasks-tasks',
  },
}
/** The kinds of tasks that each service does. */
const works: Readonly<Partial<Record<EventSource, readonly string[]>>> = {
  build: ['build'],
  catalog: ['gc', 'scrub', 'repair', 'reclaim', 'retention', 'export', 'import', 'mirror'],
  sync: ['sync', 'sync-group'],
}

/** Throws where a service follows what it has no consumer for here: NATS would refuse it, and it would only hear late. */
export function requireFollower(service: EventSource, source: EventSource, consumer: string): void {
  if (followers[service][source] !== consumer)
    throw new Error(`nobody says that ${service} follows ${source} as ${consumer}`)
}

/** Who follows a service. */
export function followersOf(source: EventSource): EventSource[] {
  return eventSources.filter((name) => followers[name][source] !== undefined)
}

type Permissions = { publish: { allow: string[]; deny: string[] }; subscribe: { allow: string[] } }

const workStream = 'WORK'
const api = '$JS.API'

/** Where answers to a service arrive, so that no other one may listen there. */
export function inboxPrefixOf(service: string): string {
  return `_INBOX_${service}`
}

/**
 * What the user of a service may do on NATS: announce its own events, follow those that it needs, and work. On a stream that it reads it
 * may make a consumer for a moment, whose name the server chooses; those that others keep are not for it.
 */
function permissionsOf(service: EventSource): Permissions {
  const kinds = works[service] ?? []
  const read = [...new Set([service, ...(Object.keys(followers[service]) as EventSource[])])]
  return {
    publish: {
      allow: [
        `berth.v1.${service}.>`,
        `${api}.INFO`,
        `${api}.STREAM.CREATE.${streamOfSource[service]}`,
        ...read.flatMap((source) => reading(streamOfSource[source])),
        ...Object.entries(followers[service]).flatMap(([source, consumer]) => [
          ...keeping(streamOfSource[source as EventSource], consumer),
          `berth.dlq.${consumer}`,
        ]),
        ...(kinds.length > 0 || service === 'tasks'
          ? [`${api}.STREAM.INFO.${workStream}`, `${api}.STREAM.CREATE.${workStream}`]
          : []),
        ...kinds.flatMap((kind) => keeping(workStream, `workers-${kind}`, `berth.work.${kind}`)),
        ...(service === 'tasks' ? ['berth.work.*'] : []),
      ],
      deny: read.flatMap((source) => keptByOthers(source, service)),
    },
    subscribe: { allow: [`${inboxPrefixOf(service)}.>`] },
  }
}

/**
 * What the user `reader` may do, for subscribers of the operator: hear all events, and read what the streams hold by consumers that are
 * there for a moment. It tells nothing, asks nothing of streams, and touches no consumer of a service. NATS cannot tell by a subject
 * whether a consumer that is given a name is to stay, so one that stays is not refused.
 */
function readerPermissions(): Permissions {
  const streams = eventSources.map((source) => streamOfSource[source])
  return {
    publish: {
      allow: [
        `${api}.INFO`,
        '$JS.FC.>',
        ...streams.flatMap((stream) => [
          `${api}.CONSUMER.CREATE.${stream}`,
          `${api}.CONSUMER.CREATE.${stream}.>`,
          ...['INFO', 'MSG.NEXT', 'DELETE'].map((what) => `${api}.CONSUMER.${what}.${stream}.*`),
          `$JS.ACK.${stream}.>`,
        ]),
      ],
      deny: eventSources.flatMap((source) => keptByOthers(source)),
    },
    subscribe: { allow: ['berth.v1.>', 'berth.dlq.>', '_INBOX.>'] },
  }
}

/** To read a stream by a consumer that is there for a moment. */
function reading(stream: string): string[] {
  return [
    `${api}.STREAM.INFO.${stream}`,
    `${api}.CONSUMER.CREATE.${stream}`,
    ...['INFO', 'MSG.NEXT', 'DELETE'].map((what) => `${api}.CONSUMER.${what}.${stream}.*`),
  ]
}

/** To make a durable consumer, and to take what it has. */
function keeping(stream: string, consumer: string, filter?: string): string[] {
  const name = `${stream}.${consumer}`
  return [
    `${api}.CONSUMER.CREATE.${name}${filter ? `.${filter}` : ''}`,
    ...['INFO', 'MSG.NEXT'].map((what) => `${api}.CONSUMER.${what}.${name}`),
    `$JS.ACK.${name}.>`,
  ]
}

/** All that can be done with consumers which other services keep on a stream. */
function keptByOthers(source: EventSource, service?: EventSource): string[] {
  return eventSources.flatMap((other) => {
    const consumer = followers[other][source]
    if (consumer === undefined || other === service) return []
    const name = `${streamOfSource[source]}.${consumer}`
    return [
      ...['CREATE', 'DURABLE.CREATE', 'INFO', 'MSG.NEXT', 'DELETE'].map((what) => `${api}.CONSUMER.${what}.${name}`),
      `${api}.CONSUMER.CREATE.${name}.>`,
      `$JS.ACK.${name}.>`,
    ]
  })
}

/** A new user of NATS: the seed that it logs in with, and the key by which the server knows it. */
export function makeNatsUser(): { seed: string; publicKey: string } {
  const seed = Buffer.from(nkeys.createUser().getSeed()).toString('utf8')
  return { seed, publicKey: publicKeyOf(seed) }
}

/** The public key that belongs to the seed of a user; `undefined` when a text is none. */
export function natsPublicKeyOf(seed: string): string | undefined {
  try {
    const publicKey = nkeys.fromSeed(Buffer.from(seed)).getPublicKey()
    return seed.startsWith('SU') && publicKey.startsWith('U') ? publicKey : undefined
  } catch {
    return undefined
  }
}

/** Whether a text is the seed of a user. */
export function isNatsSeed(text: string): boolean {
  return natsPublicKeyOf(text) !== undefined
}

/** The users of the services and `reader`, as nats-server reads them in its configuration. */
export function natsUsers(publicKeys: Readonly<Record<EventSource, string>>, readerKey: string): string {
  return `# rights ${natsRights}\n${authorization(publicKeys, readerKey)}`
}

function authorization(publicKeys: Readonly<Record<EventSource, string>>, readerKey: string): string {
  const users = [
    ...eventSources.map((service) => userText(publicKeys[service], permissionsOf(service))),
    userText(readerKey, readerPermissions()),
  ]
  return `authorization {\n  users: [\n${users.join('\n')}\n  ]\n}`
}

/**
 * Names what this release lets each user do, whatever their keys are. nats-server reads its users at the start alone, so that what runs it
 * has to know when they may do something else.
 */
export const natsRights: string = createHash('sha256')
  .update(
    authorization(Object.fromEntries(eventSources.map((name) => [name, name])) as Record<EventSource, string>, ''),
  )
  .digest('hex')
  .slice(0, 12)

function userText(nkey: string, { publish, subscribe }: Permissions): string {
  const list = (subjects: string[]) =>
    `[\n${subjects.map((subject) => `          ${JSON.stringify(subject)}`).join('\n')}\n        ]`
  const deny = publish.deny.length > 0 ? `\n        deny: ${list(publish.deny)}` : ''
  return `    {
      nkey: ${JSON.stringify(nkey)}
      permissions: {
        publish: {
        allow: ${list(publish.allow)}${deny}
        }
        subscribe: {
        allow: ${list(subscribe.allow)}
        }
      }
    }`
}
