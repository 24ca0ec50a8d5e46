import path from 'node:path'
import { type BlobStore, checkStoreIdentity, reserveNotes } from '@berth/blobs'
import { createHost, type Running, watchStoreIdentity } from '@berth/host'
import { createSealer, Problem, type Service, type ServiceParts, StartupError } from '@berth/service'
import { startWorker } from '@berth/worker'
import { buildHandlers } from './api/builds.ts'
import { type BuildConfig, peers } from './config.ts'
import { openPrisma } from './db/client.ts'
import { schemaParts } from './db/schema-parts.ts'
import { createBuildMetrics } from './observe/builds.ts'
import { createBuildWork } from './work/do-build.ts'
import { type EngineSearch, searchEngine } from './work/search-engine.ts'
import { onTaskEnded, startBuildSweep } from './work/sweep-builds.ts'

// An SQL query with a row where there must be blobs in the store.
const content = `select from build where state = 'completed'`

// What each may take is counted by itself, so that several take several times as much.
const mostBuilds = 2

type Parts = ServiceParts & { blobs?: BlobStore; findEngine: EngineSearch }

/** Builds the build service: what was built, by whom, and what came of it; and where it is switched on, the worker that builds. */
export function createBuild(config: BuildConfig, { blobs, findEngine, ...parts }: Parts): Service {
  const host = createHost({ name: 'build', source: import.meta.url, schemaParts, config, peers, parts })
  const { db, log } = host
  const { auth, catalog, sync, tasks } = host.peers
  const prisma = openPrisma(db)
  const metrics = createBuildMetrics(parts.metrics)
  if (!config.builds) {
    const handlers = buildHandlers({ db, prisma, catalog, start: switchedOff() })
    return host.service({ public: { handlers }, commands: {} })
  }
  const { secretsKey, secretsPreviousKeys } = config
  if (!blobs || secretsKey === undefined)
    throw new StartupError(
      'BERTH_BUILDS is true, and BERTH_SECRETS_KEY is not set',
      'set it, or BERTH_SECRETS_KEY_FILE, to the key that the other services have',
    )
  const store = blobs
  const sealer = createSealer(secretsKey, secretsPreviousKeys)
  const engines = searchEngine(findEngine, log)
  const { buildDirectory: directory, buildAliases: aliases, externalUrl } = config
  const start = {
    db,
    log,
    catalog,
    tasks,
    blobs: store,
    sealer,
    externalUrl,
    aliases,
    contextLimits: {
      bytes: config.buildContextBytes,
      unpackedBytes: config.buildDiskBytes,
      files: config.buildContextFiles,
    },
    requireEngine: () => void engines.require(),
  }
  const limits = {
    seconds: config.buildSeconds,
    memoryBytes: config.buildMemoryBytes,
    processes: config.buildProcesses,
    diskBytes: config.buildDiskBytes,
    contextBytes: config.buildContextBytes,
    contextFiles: config.buildContextFiles,
  }
  const caches = {
    root: path.join(directory, 'cache'),
    bytes: config.buildCacheBytes,
    repositoryBytes: config.buildCacheRepositoryBytes,
  }
  const work = createBuildWork({
    db: db.background,
    auth,
    catalog,
    sync,
    blobs: store,
    sealer,
    log,
    aliases,
    limits,
    directory,
    externalUrl,
    metrics,
    caches,
    makeSbom: () => engines.makeSbom(),
    engine: () => engines.current(),
  })

  const beginWork = ({ bus, keep }: Running) => {
    const worker = { tasks, bus, name: 'build', leaseSeconds: config.taskLeaseSeconds, log }
    engines.onFound(({ mostAtOnce }) => {
      const capacity = Math.min(mostAtOnce, mostBuilds)
      keep('worker', startWorker({ ...worker, works: { build: work }, capacity }))
    })
  }

  return host.service({
    public: { handlers: buildHandlers({ db, prisma, catalog, start }) },
    commands: {},
    prepare: () => checkStoreIdentity(db, store, { adopt: config.storeAdopt, content }),
    start: async (running) => {
      const { keep, follow } = running
      log.warn('builds are switched on: whoever may build runs programs on this machine, in a sandbox')
      follow({
        consumer: 'build-tasks',
        source: 'tasks',
        handle: async (sql, event) => {
          const ended = await onTaskEnded({ catalog, log }, sql, event)
          if (ended) metrics.ended(ended)
          return ended ?? 'nothing'
        },
      })
      keep(
        'sweep of builds',
        startBuildSweep({ db: db.background, tasks, catalog, log }, (state) => metrics.ended(state)),
      )
      watchStoreIdentity(running, db, store, content)
      keep('search for an engine', engines)
      beginWork(running)
      engines.begin()
    },
    notes: async () => ({ ...(await reserveNotes(store)), ...engines.notes() }),
    unready: () => store.unready?.(),
  })
}

function switchedOff(): Problem {
  return new Problem(403, 'builds_disabled', 'Images are not built here: builds are switched off.', {
    hint: 'An operator switches them on by BERTH_BUILDS=true (docs/how-to/build-images.md).',
  })
}
