import { type BlobStore, checkStoreIdentity, reserveNotes } from '@berth/blobs'
import { commandHandlers, type SyncCommands } from '@berth/commands'
import { createHost, watchStoreIdentity } from '@berth/host'
import { createSealer, type Handlers, rows, type Service, type ServiceParts } from '@berth/service'
import { startWorker } from '@berth/worker'
import { syncObjects } from './api/objects.ts'
import { remoteHandlers } from './api/remotes.ts'
import { runHandlers } from './api/runs.ts'
import { peers, type SyncConfig } from './config.ts'
import { openPrisma } from './db/client.ts'
import { schemaParts } from './db/schema-parts.ts'
import { createGroupWork } from './groups/do-group.ts'
import { createRunMetrics } from './observe/runs.ts'
import { createUpstreamMetrics } from './observe/upstreams.ts'
import { createClaims } from './on-demand/claims.ts'
import { fetchAgain } from './on-demand/fetch-again.ts'
import { fetchBlob } from './on-demand/fetch-blob.ts'
import { createFetches } from './on-demand/fetches.ts'
import { createSiblings } from './on-demand/siblings.ts'
import { startPruning } from './on-demand/sources-in-use.ts'
import { stillThere } from './on-demand/still-there.ts'
import type { operations } from './openapi-types.ts'
import { pullManifest } from './pull-through/pull-manifest.ts'
import { pullReferrers } from './pull-through/pull-referrers.ts'
import { streamAccessObjects } from './remotes/access-objects.ts'
import { keepClients } from './remotes/kept-clients.ts'
import { resealRemotes } from './remotes/reseal-remotes.ts'
import { remoteNamed } from './remotes/show.ts'
import { onTaskEnded } from './runs/on-task-ended.ts'
import { startRunSweep } from './runs/sweep-runs.ts'
import { createSyncWork } from './steps/do-sync.ts'

// An SQL query with a row where there must be blobs in the store.
const content = 'select from content_source'

/** Builds sync: remotes, and the worker that fetches from them. */
export function createSync(config: SyncConfig, { blobs, ...parts }: ServiceParts & { blobs: BlobStore }): Service {
  const host = createHost({ name: 'sync', source: import.meta.url, schemaParts, config, peers, parts })
  const { db, log } = host
  const { auth, catalog, tasks } = host.peers
  const prisma = openPrisma(db)
  const sealer = createSealer(config.secretsKey, config.secretsPreviousKeys)
  const hear = createUpstreamMetrics(parts.metrics)
  const runMetrics = createRunMetrics(parts.metrics, db, log)
  const remotes = keepClients(sealer, hear)
  const claims = createClaims(db, log, config.internalUrl)
  const fetches = createFetches({ ...config, db, prisma, catalog, blobs, remotes, claims, log })
  const siblings = createSiblings((address) => host.client('sync', address), log)
  const fetchDeps = { db, prisma, catalog, blobs, remotes, log }
  const runDeps = { db: db.background, prisma, sealer, auth, catalog, blobs, log, hear, runMetrics }
  const { taskLeaseSeconds: leaseSeconds } = config

  return host.service({
    public: {
      handlers: {
        ...remoteHandlers({ db, prisma, sealer, catalog, log }),
        ...runHandlers({ db, prisma, catalog, tasks, blobs }),
      } satisfies Handlers<operations>,
      objects: syncObjects(prisma, catalog),
      scheduled: ['startSync'],
    },
    commands: commandHandlers<SyncCommands, 'fetch-blob' | 'list-access-objects'>({
      'fetch-blob': (request, call) => fetchBlob({ fetches, claims, clientOf: siblings.at }, request, call.signal),
      'check-still-there': (request, call) => stillThere(fetchDeps, request, call.signal),
      'find-remote': ({ remote }) => remoteNamed(prisma, remote),
      'list-access-objects': async (request) => rows(streamAccessObjects(db.background, request)),
      'pull-through': (request, call) => pullManifest(fetchDeps, request, call.signal),
      'pull-through-referrers': (request, call) => pullReferrers(fetchDeps, request, call.signal),
      'fetch-again': (request, call) => fetchAgain(fetchDeps, request, call.signal),
    }),
    prepare: async ({ keep }) => {
      keep('clients of remotes', { stop: () => remotes.close() })
      keep('clients of replicas', siblings)
      keep('fetches', fetches)
      await checkStoreIdentity(db, blobs, { adopt: config.storeAdopt, content })
      await resealRemotes(db, sealer, log)
    },
    start: async (running) => {
      const { bus, keep, follow } = running
      follow({
        consumer: 'sync-tasks',
        source: 'tasks',
        handle: async (sql, event) => {
          const ended = await onTaskEnded(sql, event)
          if (ended) runMetrics.ended(ended)
          return ended ?? 'nothing'
        },
      })
      keep('pruning', startPruning({ db: db.background, catalog, log }))
      watchStoreIdentity(running, db, blobs, content)
      const onEnded = (state: 'failed' | 'cancelled') => runMetrics.ended(state)
      keep('sweep of runs', startRunSweep({ db: db.background, tasks, log, onEnded }))
      const worker = { tasks, bus, name: 'sync', leaseSeconds, log }
      const runs = startWorker({ ...worker, works: { sync: createSyncWork(runDeps) } })
      // Of their own, for they wait for tasks that the other ones do.
      const works = { 'sync-group': createGroupWork({ prisma, sealer, catalog, tasks, log, hear }) }
      const groups = startWorker({ ...worker, works })
      keep('workers', { stop: async () => void (await Promise.all([runs.stop(), groups.stop()])) })
    },
    notes: () => reserveNotes(blobs),
    unready: () => blobs.unready?.(),
  })
}
