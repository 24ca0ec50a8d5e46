import { type BlobStore, checkStoreIdentity, reserveNotes } from '@berth/blobs'
import { connectBus, natsNotes, readOutbox, startConsumer, startLoop, startRelay } from '@berth/bus'
import {
  type CatalogCommands,
  commandHandlers,
  commandsOf,
  type OutboxPage,
  type SyncCommands,
  type TasksCommands,
} from '@berth/commands'
import {
  applyMigrations,
  createApi,
  createInternalClient,
  createInternalServer,
  createSealer,
  type InternalClient,
  Lifecycle,
  openDatabase,
  readApiDocument,
  type Service,
  type ServiceParts,
} from '@berth/service'
import { identifyThrough } from '@berth/tokens'
import { startWorker } from '@berth/worker'
import type { SyncConfig } from './config.ts'
import { fetchAgain } from './copy/fetch-again.ts'
import { openPrisma } from './db/client.ts'
import { schemaParts } from './db/schema-parts.ts'
import { createGroupWork } from './groups/do-group.ts'
import { createRunMetrics } from './observe/runs.ts'
import { createUpstreamMetrics } from './observe/upstreams.ts'
import { createClaims } from './on-demand/claims.ts'
import { fetchBlob } from './on-demand/fetch-blob.ts'
import { createFetches } from './on-demand/fetches.ts'
import { startPruning } from './on-demand/needed.ts'
import { stillThere } from './on-demand/still-there.ts'
import { pullThrough } from './pull-through/bring.ts'
import { bringReferrers } from './pull-through/bring-referrers.ts'
import { remoteHandlers } from './remotes/api.ts'
import { keepClients } from './remotes/kept-clients.ts'
import { resealRemotes } from './remotes/reseal-remotes.ts'
import { remoteNamed } from './remotes/show.ts'
import { runHandlers } from './runs/api.ts'
import { onTaskEnded } from './runs/on-task-ended.ts'
import { startRunSweep } from './runs/sweep-runs.ts'
import { createSyncWork } from './worker/do-sync.ts'

const name = 'sync'
// Replicas come and go, and each may have an address of its own.
const mostSiblings = 64
const lookEveryMs = 600_000

/** Builds sync: remotes, and the worker that copies from them. */
export function createSync(
  config: SyncConfig,
  { log: base, metrics, localPeers, blobs }: ServiceParts & { blobs: BlobStore },
): Service {
  const log = base.with({ service: name })
  const life = new Lifecycle(log)
  const db = openDatabase({
    url: config.databaseUrl,
    schema: name,
    onError: (error) => log.warn('database connection lost', { error }),
  })
  const prisma = openPrisma(db)
  const sealer = createSealer(config.secretsKey, config.secretsPreviousKeys)
  const { serviceKey, callTimeoutSeconds } = config
  const client = (to: string, baseUrl: string) =>
    createInternalClient({ baseUrl, from: name, to, serviceKey, callTimeoutSeconds, localPeers })
  const clients = {
    auth: client('auth', config.authUrl),
    catalog: client('catalog', config.catalogUrl),
    tasks: client('tasks', config.tasksUrl),
  }
  const catalog = commandsOf<CatalogCommands>(clients.catalog)
  const tasks = commandsOf<TasksCommands>(clients.tasks)
  const hear = createUpstreamMetrics(metrics)
  const runMetrics = createRunMetrics(metrics, db, log)
  const remotes = keepClients(sealer, hear)
  const claims = createClaims(db, log, config.internalUrl)
  const fetches = createFetches({ ...config, db, prisma, catalog, blobs, remotes, claims, log })
  const siblings = new Map<string, InternalClient>()
  const siblingAt = (address: string) => {
    const known = siblings.get(address) ?? client(name, address)
    siblings.delete(address)
    siblings.set(address, known)
    const [oldest] = siblings
    if (siblings.size > mostSiblings && oldest) {
      siblings.delete(oldest[0])
      void oldest[1].close().catch((error: unknown) => log.warn('a client did not close', { error }))
    }
    return known
  }

  return {
    name,
    public: createApi({
      service: name,
      document: readApiDocument(new URL('../openapi.yaml', import.meta.url)),
      handlers: {
        ...remoteHandlers({ db, prisma, sealer, catalog, log }),
        ...runHandlers({ prisma, catalog, tasks, blobs }),
      },
      externalUrl: config.externalUrl,
      identify: identifyThrough(clients.auth),
      log,
      metrics,
    }),
    internal: createInternalServer({
      service: name,
      serviceKey: config.serviceKey,
      log,
      commands: {
        ...commandHandlers<SyncCommands, 'fetch-blob'>({
          'fetch-blob': (request, call) => fetchBlob({ fetches, claims, clientOf: siblingAt }, request, call.signal),
          'still-there': (request, call) => stillThere({ db, prisma, remotes, log }, request, call.signal),
          remote: ({ remote }) => remoteNamed(prisma, remote),
          'pull-through': (request, call) =>
            pullThrough({ db, prisma, catalog, blobs, remotes, log }, request, call.signal),
          'pull-through-referrers': (request, call) =>
            bringReferrers({ db, prisma, catalog, blobs, remotes, log }, request, call.signal),
          'fetch-again': (request, call) => fetchAgain({ db, prisma, blobs, remotes, log }, request, call.signal),
        }),
        events: (request: { after: number }) => readOutbox(db, request.after),
      },
    }),
    start: async () => {
      const closing = [...Object.values(clients), remotes]
      life.onStop(
        'clients',
        async () => void (await Promise.all([...closing, ...siblings.values()].map((one) => one.close()))),
      )
      life.onStop('database', () => db.close())
      life.onStop('fetches', () => fetches.stop())
      await applyMigrations({
        url: config.databaseUrl,
        schema: name,
        parts: schemaParts,
      })
      await checkStoreIdentity(db, blobs, config.storeAdopt)
      await resealRemotes(db, sealer, log)
      const bus = await connectBus({ url: config.natsUrl, name: `berth-${name}`, log, metrics })
      life.onStop('nats', () => bus.close())
      const relay = startRelay({
        db,
        bus,
        source: name,
        log,
        deadLetterKeptDays: config.deadLetterKeptDays,
        restored: config.restored,
      })
      life.onStop('relay', () => relay.stop())
      const following = startConsumer({
        db: db.background,
        bus,
        log,
        consumer: 'sync-tasks',
        source: 'tasks',
        owner: { eventsAfter: (after, signal) => clients.tasks.call<OutboxPage>('events', { after }, { signal }) },
        handle: async (sql, event) => {
          const ended = await onTaskEnded(sql, event)
          if (ended) runMetrics.ended(ended)
        },
      })
      life.onStop('following tasks', () => following.stop())
      const pruning = startPruning({ db: db.background, catalog, log })
      life.onStop('pruning', () => pruning.stop())
      const onEnded = (state: 'failed' | 'cancelled') => {
        runMetrics.ended(state)
      }
      const looking = startLoop({
        pollMs: lookEveryMs,
        pauseAfterFailureMs: lookEveryMs,
        onError: (error) => log.error('the identity of the blob store cannot be seen', { error }),
        run: () => checkStoreIdentity(db, blobs),
      })
      life.onStop('identity of the store', () => looking.stop())
      const sweep = startRunSweep({ db: db.background, tasks, log, onEnded })
      life.onStop('sweep of runs', () => sweep.stop())
      const worker = startWorker({
        tasks,
        bus,
        name,
        works: {
          sync: createSyncWork({
            db: db.background,
            prisma,
            sealer,
            catalog,
            blobs,
            log,
            hear,
            runMetrics,
          }),
        },
        leaseSeconds: config.taskLeaseSeconds,
        log,
      })
      // Of their own, for they wait for tasks that the other ones do.
      const groups = startWorker({
        tasks,
        bus,
        name,
        works: { 'sync-group': createGroupWork({ prisma, sealer, catalog, tasks, hear }) },
        leaseSeconds: config.taskLeaseSeconds,
        log,
      })
      life.onStop('workers', async () => void (await Promise.all([worker.stop(), groups.stop()])))
    },
    stop: () => life.stop(),
    notes: async () => ({ ...natsNotes(), ...(await reserveNotes(blobs)) }),
    unready: async () => {
      try {
        await db.query('select 1')
        return undefined
      } catch {
        return 'PostgreSQL does not answer'
      }
    },
  }
}
