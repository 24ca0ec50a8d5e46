import type { BlobStore } from '@berth/blobs'
import type { Loop } from '@berth/bus'
import { createHost } from '@berth/host'
import { createGuard, type Handlers, type Service, type ServiceParts } from '@berth/service'
import { startWorker } from '@berth/worker'
import { curationHandlers } from './api/curation.ts'
import { distributionHandlers } from './api/distributions.ts'
import { exportHandlers } from './api/exports.ts'
import { historyHandlers } from './api/history.ts'
import { importHandlers } from './api/imports.ts'
import { namespaceHandlers } from './api/namespaces.ts'
import { catalogObjects } from './api/objects.ts'
import { repositoryHandlers } from './api/repositories.ts'
import { retentionHandlers } from './api/retention.ts'
import { staticMirrorHandlers } from './api/static-mirrors.ts'
import { storeHandlers } from './api/store.ts'
import { versionHandlers } from './api/versions.ts'
import { claimStore } from './cleaner/claim-store.ts'
import { createLoneCleaner, deletingAlone, startRenewing } from './cleaner/lone-cleaner.ts'
import { createGcWork } from './collect/gc-work.ts'
import { catalogCommands } from './commands.ts'
import { type CatalogConfig, peers } from './config.ts'
import { openPrisma } from './db/client.ts'
import { pruneCommands } from './db/run-command.ts'
import { schemaParts } from './db/schema-parts.ts'
import { countExports } from './exports/count-exports.ts'
import { createExportWork } from './exports/export-work.ts'
import { sweepExports } from './exports/sweep-exports.ts'
import { openTargets } from './exports/targets.ts'
import { forgetHistory } from './history/forget.ts'
import { startConfigReader } from './image-configs/loop.ts'
import { readConfigsOf } from './image-configs/read-configs.ts'
import { createImportWork } from './imports/import-work.ts'
import { startImportSweep } from './imports/sweep-imports.ts'
import { blobsHealed } from './leases/healed.ts'
import { recountOldest } from './namespaces/quota.ts'
import type { operations } from './openapi-types.ts'
import { startEviction } from './pull-through/loop.ts'
import { createRetentionWork } from './retention/retention-work.ts'
import { createServedGate } from './served/wait-until-served.ts'
import { createMirrorWork } from './static-mirrors/mirror-work.ts'
import { announceHealed } from './store/damage.ts'
import { createMaintenanceWorks } from './store/maintenance-tasks.ts'
import { measureStore } from './store/measure-store.ts'
import { startLooking } from './store/scrub-by-rounds.ts'
import { foldQuiet } from './versions/fold-loose.ts'
import { startRollbackWriter } from './versions/rollback-writer.ts'

const foldEveryMs = 10_000
const forgetEveryMs = 3_600_000
const sweepExportsEveryMs = 60_000

/** Builds the catalog: the truth about content, and the one writer of it. */
export function createCatalog(
  config: CatalogConfig,
  { blobs: store, ...parts }: ServiceParts & { blobs: BlobStore },
): Service {
  const host = createHost({
    name: 'catalog',
    source: import.meta.url,
    schemaParts,
    config,
    peers,
    parts,
    connections: 12,
  })
  const { db, log } = host
  const { registry, tasks, sync, auth } = host.peers
  const { background } = db
  const prisma = openPrisma(db)
  const cleaner = createLoneCleaner(db, store, log)
  const blobs = deletingAlone(store, cleaner)
  const gate = createServedGate(registry)
  const objects = catalogObjects(db, sync)
  const guard = createGuard(objects)
  let writer: Loop | undefined
  // A list is worth having without what the store does not give now.
  const readNewConfigs = (repositoryId: string) =>
    readConfigsOf(background, blobs, repositoryId).catch((error: unknown) =>
      log.warn('configurations will be read again', { repositoryId, error }),
    )
  const fold = async () => {
    for (const { repositoryId, revision } of [...(await foldQuiet(background)), ...(await announceHealed(background))])
      await registry.call('follow-repository', { repositoryId, revision })
    await pruneCommands(background)
    await recountOldest(background)
  }
  const counts = measureStore(parts.metrics, background, log)
  const collecting = { db: background, blobs, cleaner, registry, auth, log, counts }
  const targets = openTargets({ blobs, transferDirectory: config.transferDirectory })
  const exporting = {
    ...targets,
    db: background,
    blobs,
    sync,
    auth,
    tasks,
    log,
    signingKey: config.exportSigningKey,
    counts: countExports(parts.metrics),
  }
  const rsync = { hosts: config.rsyncHosts, keys: config.rsyncKeys, knownHosts: config.rsyncKnownHosts }
  const mirroring = { db: background, blobs, sync, auth, log, rsync, transferDirectory: config.transferDirectory }
  const signing = { trustedKeys: config.importTrustedKeys, requireSignature: config.importRequireSignature }
  const importing = { blobs, tasks, gate, auth, log, signing, transferDirectory: config.transferDirectory }
  const caring = { db: background, blobs, cleaner, sync, auth, log }

  return host.service({
    public: {
      handlers: {
        ...repositoryHandlers(db, prisma, gate),
        ...versionHandlers(db, prisma, gate, readNewConfigs, () => writer?.wake()),
        ...historyHandlers(db, prisma),
        ...curationHandlers(db, prisma, gate, guard),
        ...storeHandlers({ db, prisma, tasks, registry, cleaner, graceSeconds: config.gcGraceSeconds }),
        ...distributionHandlers(db, prisma, { sync, auth, guard }, gate),
        ...namespaceHandlers(db, gate, auth),
        ...retentionHandlers(db, prisma, gate),
        ...exportHandlers({ ...targets, db, blobs, tasks, canSign: config.exportSigningKey !== undefined }),
        ...staticMirrorHandlers({ db, tasks, transferDirectory: config.transferDirectory, rsync }),
        ...importHandlers({ ...importing, db }),
      } satisfies Handlers<operations>,
      objects,
      scheduled: [
        'applyRetention',
        'applyAllRetention',
        'collectStore',
        'scrubStore',
        'reclaimStore',
        'createExport',
        'createImport',
        'writeStaticMirror',
      ],
    },
    commands: catalogCommands({ db, blobs, cleaner, log }, gate),
    prepare: async ({ keep }) => {
      await claimStore(db, store, config.storeAdopt)
      keep('mark of the store', startRenewing(cleaner, log))
    },
    start: async ({ bus, keep, loop }) => {
      const folding = loop('folding', { everyMs: foldEveryMs, failure: 'folding will be tried again', run: fold })
      loop('history', {
        everyMs: forgetEveryMs,
        pauseAfterFailureMs: 60_000,
        failure: 'history will be forgotten later',
        run: (signal) => forgetHistory(background, config.historyDays, signal),
      })
      loop('exports', {
        everyMs: sweepExportsEveryMs,
        pauseAfterFailureMs: sweepExportsEveryMs,
        failure: 'exports will be looked at later',
        run: (signal) => sweepExports(exporting, signal),
      })
      db.onCommit(blobsHealed, () => folding.wake())
      writer = keep('writer of rollbacks', startRollbackWriter({ db: background, registry, log }))
      keep('reader of configurations', startConfigReader({ db: background, blobs, log }))
      keep('looks for what is missing', startLooking({ db: background, blobs, log }))
      keep('sweep of imports', startImportSweep({ db: background, tasks, log }))
      keep('eviction', startEviction({ db: background, registry, log }))
      const { scrub, repair, reclaim } = createMaintenanceWorks(caring)
      const retention = createRetentionWork({ db: background, registry, auth, log })
      const worker = { tasks, bus, name: 'catalog', leaseSeconds: config.taskLeaseSeconds, log }
      const quick = startWorker({ ...worker, works: { gc: createGcWork(collecting), reclaim, retention } })
      // Of their own, for they go on for hours or weeks.
      const slow = startWorker({ ...worker, works: { scrub, repair } })
      const carrying = startWorker({
        ...worker,
        works: {
          export: createExportWork(exporting),
          import: createImportWork({ ...importing, db: background }),
          mirror: createMirrorWork(mirroring),
        },
      })
      const workers = [quick, slow, carrying]
      keep('workers', { stop: async () => void (await Promise.all(workers.map((one) => one.stop()))) })
    },
  })
}
