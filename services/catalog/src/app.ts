import type { BlobStore } from '@berth/blobs'
import { connectBus, type Loop, natsNotes, startLoop, startRelay } from '@berth/bus'
import {
  type AuthCommands,
  commandsOf,
  type RegistryCommands,
  type SyncCommands,
  type TasksCommands,
} from '@berth/commands'
import {
  applyMigrations,
  createApi,
  createInternalClient,
  createInternalServer,
  Lifecycle,
  openDatabase,
  readApiDocument,
  type Service,
  type ServiceParts,
} from '@berth/service'
import { identifyThrough } from '@berth/tokens'
import { startWorker } from '@berth/worker'
import { startCollector } from './collect/collector.ts'
import { createGcWork } from './collect/gc-work.ts'
import { catalogCommands } from './commands.ts'
import type { CatalogConfig } from './config.ts'
import { curationHandlers } from './curation/api.ts'
import { openPrisma } from './db/client.ts'
import { schemaParts } from './db/schema-parts.ts'
import { distributionHandlers } from './distributions/api.ts'
import { startConfigReader } from './facts/loop.ts'
import { readConfigsOf } from './facts/read-configs.ts'
import { namespaceHandlers } from './namespaces/api.ts'
import { recountOldest } from './namespaces/quota.ts'
import { startEviction } from './pull-through/loop.ts'
import { repositoryHandlers } from './repositories/api.ts'
import { retentionHandlers } from './retention/api.ts'
import { startRetention } from './retention/loop.ts'
import { pruneCommands } from './run-command.ts'
import { createServedGate } from './served/wait-until-served.ts'
import { storeHandlers } from './store/api.ts'
import { createCareWorks } from './store/care-work.ts'
import { claimStore } from './store/claim-store.ts'
import { announceHealed, blobsHealed } from './store/damage.ts'
import { createLoneCleaner, deletingAlone, startRenewing } from './store/lone-cleaner.ts'
import { startScrub } from './store/scrub-loop.ts'
import { versionHandlers } from './versions/api.ts'
import { foldQuiet } from './versions/fold-loose.ts'
import { startSettling } from './versions/settling.ts'

const name = 'catalog'
const foldEveryMs = 10_000

/** Builds the catalog: the truth about content, and the one writer of it. */
export function createCatalog(
  config: CatalogConfig,
  { log: base, metrics, localPeers, blobs: store }: ServiceParts & { blobs: BlobStore },
): Service {
  const log = base.with({ service: name })
  const life = new Lifecycle(log)
  const db = openDatabase({
    url: config.databaseUrl,
    schema: name,
    max: 12,
    onError: (error) => log.warn('database connection lost', { error }),
  })
  const background = db.background
  const prisma = openPrisma(db)
  const cleaner = createLoneCleaner(db, store, log)
  const blobs = deletingAlone(store, cleaner)
  const { serviceKey, callTimeoutSeconds } = config
  const client = (to: string, baseUrl: string) =>
    createInternalClient({ baseUrl, from: name, to, serviceKey, callTimeoutSeconds, localPeers })
  const auth = client('auth', config.authUrl)
  const registryClient = client('registry', config.registryUrl)
  const tasksClient = client('tasks', config.tasksUrl)
  const tasks = commandsOf<TasksCommands>(tasksClient)
  const syncClient = client('sync', config.syncUrl)
  const sync = commandsOf<SyncCommands>(syncClient)
  const registry = commandsOf<RegistryCommands>(registryClient)
  const gate = createServedGate(registry)
  let settling: Loop | undefined
  // A list is worth having without what the store does not give now.
  const settleFacts = (repositoryId: string) =>
    readConfigsOf(background, blobs, repositoryId).catch((error: unknown) =>
      log.warn('configurations will be read again', { repositoryId, error }),
    )
  const collecting = { db: background, blobs, cleaner, registry, log }

  return {
    name,
    public: createApi({
      service: name,
      document: readApiDocument(new URL('../openapi.yaml', import.meta.url)),
      handlers: {
        ...repositoryHandlers(db, prisma, gate),
        ...versionHandlers(db, prisma, gate, settleFacts, () => settling?.wake()),
        ...curationHandlers(db, prisma, gate),
        ...storeHandlers({ db, prisma, tasks, registry, cleaner, graceSeconds: config.gcGraceSeconds }),
        ...distributionHandlers(db, prisma, { sync, auth: commandsOf<AuthCommands>(auth) }, gate),
        ...namespaceHandlers(db),
        ...retentionHandlers(db, prisma, gate),
      },
      externalUrl: config.externalUrl,
      identify: identifyThrough(auth),
      log,
      metrics,
    }),
    internal: createInternalServer({
      service: name,
      serviceKey: config.serviceKey,
      log,
      commands: catalogCommands(db, cleaner, gate),
    }),
    start: async () => {
      life.onStop(
        'clients',
        async () => void (await Promise.all([auth, registryClient, tasksClient, syncClient].map((one) => one.close()))),
      )
      life.onStop('database', () => db.close())
      await applyMigrations({
        url: config.databaseUrl,
        schema: name,
        parts: schemaParts,
      })
      await claimStore(db, store, config.storeAdopt)
      const renewing = startRenewing(cleaner, log)
      life.onStop('mark of the store', () => renewing.stop())
      const bus = await connectBus({ url: config.natsUrl, name: `berth-${name}`, log, metrics })
      life.onStop('nats', () => bus.close())
      const relay = startRelay({ db, bus, source: name, log, restored: config.restored })
      life.onStop('relay', () => relay.stop())
      const folding = startLoop({
        pollMs: foldEveryMs,
        pauseAfterFailureMs: foldEveryMs,
        onError: (error) => log.warn('folding will be tried again', { error }),
        run: async () => {
          for (const { repositoryId, revision } of [
            ...(await foldQuiet(background)),
            ...(await announceHealed(background)),
          ]) {
            await registry.call('follow-repository', { repositoryId, revision })
          }
          await pruneCommands(background)
          await recountOldest(background)
        },
      })
      life.onStop('folding', () => folding.stop())
      db.onCommit(blobsHealed, () => folding.wake())
      const settler = startSettling({ db: background, registry, log })
      settling = settler
      life.onStop('settling', () => settler.stop())
      const collector = startCollector(collecting, config)
      life.onStop('collector', () => collector.stop())
      const reader = startConfigReader({ db: background, blobs, log })
      life.onStop('reader of configurations', () => reader.stop())
      if (config.retentionIntervalSeconds > 0) {
        const retention = startRetention({ db: background, registry, log }, config.retentionIntervalSeconds)
        life.onStop('retention', () => retention.stop())
      }
      const scrubbing = startScrub({ db: background, blobs, log }, config)
      life.onStop('scrub', () => scrubbing.stop())
      const eviction = startEviction({ db: background, registry, log })
      life.onStop('eviction', () => eviction.stop())
      const worker = startWorker({
        tasks,
        bus,
        name,
        works: {
          gc: createGcWork(collecting),
          ...createCareWorks({ db: background, blobs, cleaner, sync, log }),
        },
        leaseSeconds: config.taskLeaseSeconds,
        log,
      })
      life.onStop('worker', () => worker.stop())
    },
    stop: () => life.stop(),
    notes: async () => natsNotes(),
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
