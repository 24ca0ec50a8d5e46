import type { RequestListener } from 'node:http'
import {
  type Bus,
  type ConsumeOptions,
  type Consumer,
  connectBus,
  createEventCheck,
  createEventMarks,
  type EventSource,
  measureEvents,
  natsNotes,
  noteSharedLogin,
  type OutboxPage,
  readOutbox,
  requireFollower,
  startConsumer,
  startRelay,
} from '@berth/bus'
import { type AuthCommands, callers, commandsOf } from '@berth/commands'
import {
  type ApiDocument,
  type ApiHandler,
  applyMigrations,
  awaitMigrations,
  clientAddress,
  createApi,
  createDenials,
  createInternalClient,
  createInternalServer,
  type Database,
  type Denial,
  type Identify,
  type InternalClient,
  type InternalHandler,
  Lifecycle,
  type Logger,
  measurePool,
  type Notes,
  type ObjectFinders,
  openDatabase,
  readApiDocument,
  requestIdOf,
  requireKnownKey,
  requireMetricsReader,
  type Service,
  type ServiceParts,
  type Sql,
  takeAudit,
} from '@berth/service'
import { identifyThrough } from '@berth/tokens'
import { traceRequests } from '@berth/tracing'
import { answerScheduled } from './answer-scheduled.ts'
import { type Consumers, type DeadLetters, deadLetterCommands, ownDeadLetters } from './dead-letter-commands.ts'
import type { PeerName, Peers } from './peers.ts'
import { createPreparing, type Preparing } from './preparing.ts'
import type { HostConfig, ServiceName } from './settings.ts'

const defaultCountSeconds = 60

/** What a service has once it is on the bus. */
export type Running = Preparing & {
  bus: Bus
  /** Handles the events of another service, or its own, and asks for those that were missed. */
  follow: (
    options: Pick<ConsumeOptions, 'consumer' | 'handle' | 'handleTogether' | 'prepare' | 'takeSnapshot'> & {
      source: PeerName & EventSource
    },
  ) => Consumer
}

type PublicApi = {
  handlers: Record<string, ApiHandler>
  /** Learns who calls; auth is asked unless this is set. */
  identify?: Identify
  /** Finds what it decides by of its own objects. */
  objects?: ObjectFinders
  /** Operations that are called for accounts at times which they have set; the service asks auth who they are. */
  scheduled?: readonly string[]
  /** Answers what is no part of the API, beside it. */
  beside?: (api: RequestListener) => RequestListener
}

/** What is special about a service. */
type Special = {
  /** Answers the API of its `openapi.yaml`, or its public requests by itself. */
  public: PublicApi | RequestListener
  /** What other services may ask; that they may ask for its events is understood. */
  commands: Record<string, InternalHandler>
  /** Done once its tables are there and before it is on the bus. */
  prepare?: (preparing: Preparing) => Promise<void>
  start?: (running: Running) => Promise<void>
  /** Added to the notes of `/readyz`. */
  notes?: () => Promise<Notes>
  /** What is asked whether PostgreSQL answers; its database unless set. */
  probe?: Sql
  /** Why it cannot serve though PostgreSQL answers. */
  unready?: () => string | undefined
}

/** What every service stands on. */
export type Host<P extends PeerName> = {
  readonly log: Logger
  readonly db: Database
  readonly peers: Peers<P>
  /** What it has set aside itself. */
  readonly deadLetters: DeadLetters
  /** Counts what was refused, for the audit trail. */
  readonly denied: (denial: Denial) => void
  /** A client of a service at an address that the settings do not name; the caller closes it. */
  client(to: string, baseUrl: string): InternalClient
  service(special: Special): Service
}

/**
 * Makes what every service stands on: its database, the clients of its `peers`, and the life of all that it opens. `source` is
 * the `import.meta.url` of the service's `src`. A start that fails stops what it had begun before it tells.
 */
export function createHost<P extends PeerName>(options: {
  name: ServiceName
  source: string
  /** The folders that its schema is made of. */
  schemaParts: readonly URL[]
  config: HostConfig<P>
  peers: readonly P[]
  parts: ServiceParts
  /** Of its database; eight unless set. */
  connections?: number
}): Host<P> {
  const { name, config, parts, connections } = options
  const { servicePrivateKey: privateKey, servicePublicKeys: publicKeys, callTimeoutSeconds } = config
  const keys = { privateKey, publicKeys }
  requireKnownKey(name, privateKey, publicKeys)
  const log = parts.log.with({ service: name })
  const life = new Lifecycle(log)
  const db = openDatabase({
    url: config.databaseUrl,
    schema: name,
    ...(connections === undefined ? {} : { max: connections }),
    onError: (error) => log.warn('database connection lost', { error }),
  })
  measurePool(parts.metrics, name, db)
  const client = (to: string, baseUrl: string) =>
    createInternalClient({
      baseUrl,
      from: name,
      to,
      privateKey,
      callTimeoutSeconds,
      localPeers: parts.localPeers,
      tls: parts.internalTls,
    })
  const denials = createDenials()
  const denied = (denial: Denial) => denials.count(denial)
  const clients = new Map<PeerName, InternalClient>(options.peers.map((to) => [to, client(to, config[`${to}Url`])]))
  const clientOf = (to: PeerName) => {
    const known = clients.get(to)
    if (!known) throw new Error(`${name} does not say that it asks ${to}`)
    return known
  }

  const preparing = createPreparing(life, log)

  // What answers by itself may be one that asks no auth.
  function identifyFor(open: PublicApi): Identify
  function identifyFor(open: PublicApi | RequestListener): Identify | undefined
  function identifyFor(open: PublicApi | RequestListener): Identify | undefined {
    if (typeof open === 'object') return open.identify ?? identifyThrough(clientOf('auth'))
    const auth = clients.get('auth')
    return auth && identifyThrough(auth)
  }

  let document: ApiDocument | undefined
  const documentOf = () => {
    document ??= readApiDocument(new URL('../openapi.yaml', options.source))
    return document
  }
  const openApi = ({ beside = (api) => api, ...open }: PublicApi) =>
    beside(
      createApi({
        service: name,
        document: documentOf(),
        handlers: open.handlers,
        objects: open.objects,
        externalUrl: config.externalUrl,
        identify: identifyFor(open),
        onDenied: denied,
        log,
        metrics: parts.metrics,
      }),
    )

  const callsFor = (open: PublicApi | RequestListener): Record<string, InternalHandler> =>
    typeof open === 'object' && open.scheduled
      ? { 'call-operation': answerScheduled(name, documentOf(), open, commandsOf<AuthCommands>(clientOf('auth'))) }
      : {}

  const keepCounts = () => {
    preparing.loop('counts of what was refused', {
      everyMs: (config.auditCountSeconds ?? defaultCountSeconds) * 1_000,
      failure: 'what was refused will be recorded later',
      alsoAtStop: true,
      run: () => denials.record(db),
    })
  }

  const prepareSchema = async () => {
    const place = { url: config.databaseUrl, schema: name, parts: options.schemaParts }
    if (config.migrate ?? true) await applyMigrations(place)
    else
      await awaitMigrations({ ...place, onWait: (lack) => log.warn('waiting for the schema', { lack: lack.message }) })
  }

  /** How each of the consumers handles an event, for those that it has set aside. */
  const consumers: Consumers = new Map()

  const joinBus = async (): Promise<Running> => {
    if (config.natsSeed === undefined) noteSharedLogin(log)
    const bus = await connectBus({ url: config.natsUrl, seed: config.natsSeed, name, log, metrics: parts.metrics })
    life.onStop('nats', () => bus.close())
    const { deadLetterKeptDays, restored } = config
    const mark = createEventMarks(name, keys)
    const counts = measureEvents(parts.metrics, { service: name, db, log })
    preparing.keep('relay', startRelay({ db, bus, source: name, log, deadLetterKeptDays, restored, mark, counts }))
    return {
      ...preparing,
      bus,
      follow: ({ source, ...more }) => {
        const owner = source === name ? undefined : clientOf(source)
        requireFollower(name, source, more.consumer)
        consumers.set(more.consumer, more)
        const isGenuine = createEventCheck({ source, follower: name }, keys)
        const events = (after: number, signal: AbortSignal) =>
          owner ? owner.call<OutboxPage>('list-events', { after }, { signal }) : readOutbox(db.background, after)
        return preparing.keep(
          `following ${source}`,
          startConsumer({
            db: db.background,
            bus,
            log,
            service: name,
            source,
            owner: { eventsAfter: events },
            isGenuine,
            counts,
            ...more,
          }),
        )
      },
    }
  }

  return {
    log,
    db,
    peers: Object.fromEntries(options.peers.map((to) => [to, commandsOf(clientOf(to))])) as Peers<P>,
    deadLetters: ownDeadLetters(db, consumers),
    denied,
    client,
    service: ({ public: open, commands, prepare, start, notes, probe = db, unready }) => {
      const identify = identifyFor(open)
      return {
        name,
        public: traceRequests(name, typeof open === 'function' ? open : openApi(open)),
        ...(identify && { checkMetricsReader: checkMetricsReaderBy(identify) }),
        internal: createInternalServer({
          service: name,
          publicKeys,
          log,
          callers: callers[name],
          commands: {
            ...commands,
            ...callsFor(open),
            ...deadLetterCommands(db, consumers),
            'list-events': ({ after }: { after: number }) => readOutbox(db, after),
            'take-audit': (request: { stored: number[] }) => takeAudit(db, request),
          },
        }),
        start: async () => {
          try {
            life.onStop(
              'clients',
              async () => void (await Promise.all([...clients.values()].map((one) => one.close()))),
            )
            life.onStop('database', () => db.close())
            await prepareSchema()
            keepCounts()
            await prepare?.(preparing)
            const running = await joinBus()
            await start?.(running)
          } catch (error) {
            await life.stop()
            throw error
          }
        },
        stop: () => life.stop(),
        notes: async () => ({ ...natsNotes(), ...(await notes?.()) }),
        unready: async () => {
          try {
            await probe.query('select 1')
            return unready?.()
          } catch {
            return 'PostgreSQL does not answer'
          }
        },
      }
    },
  }
}

function checkMetricsReaderBy(identify: Identify): Service['checkMetricsReader'] {
  return async (request) => {
    const sent = { ip: clientAddress(request), requestId: requestIdOf(request) }
    requireMetricsReader(await identify(request.headers.authorization, sent))
  }
}
