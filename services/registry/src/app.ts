import type { RequestListener } from 'node:http'
import { type BlobStore, checkStoreIdentity, measureDisks, reserveNotes } from '@berth/blobs'
import { createHost, type Preparing, type Running, watchStoreIdentity } from '@berth/host'
import { deriveSecret, inertHeaders, openDatabase, type Service, type ServiceParts } from '@berth/service'
import { createGatekeeper } from './access/authorize.ts'
import { createSeeAs } from './access/rights.ts'
import { startTokenKeys } from './access/token-keys.ts'
import { registryCommands } from './commands.ts'
import { peers, type RegistryConfig } from './config.ts'
import { schemaParts } from './db/schema-parts.ts'
import { createGateway } from './gateway/gateway.ts'
import { createFollower } from './model/follow.ts'
import { createIntactGuard } from './model/intact.ts'
import { createIsolation } from './model/isolation.ts'
import { createLookup } from './model/lookup.ts'
import { followEvents } from './model/on-catalog-event.ts'
import { createLatelyServed, createPointerReader } from './model/pointer.ts'
import { pruneModel } from './model/prune.ts'
import { gatherPulls } from './pull/last-pulls.ts'
import { createListedPulls } from './pull/listed-pulls.ts'
import { createGenerations } from './push/generations.ts'
import { createPushedBlobs } from './push/pushed-blobs.ts'
import { createSessionIds } from './push/session-id.ts'
import { recordYoung } from './push/sessions.ts'
import { sweepUploads } from './push/sweep.ts'
import { createYoungSessions } from './push/young-sessions.ts'
import { createSchema1Key } from './schema1/signing-key.ts'

// An SQL query with a row where there must be blobs in the store.
const content = 'select from blob_facts'
const sweepEveryMs = 600_000
const compareEveryMs = 60_000
const compareAgainMs = 1_000
const recordPullsEveryMs = 1_000
const learnListedEveryMs = 10_000
const catchUpPatienceMs = 5_000
// A pull must not wait long for a database that hangs; clients try again.
const pointerTimeoutMs = 2_000

/** Builds the registry: the distribution API, and the read model that pulls are answered from. */
export function createRegistry(
  config: RegistryConfig,
  { blobs, ...parts }: ServiceParts & { blobs: BlobStore },
): Service {
  const host = createHost({
    name: 'registry',
    source: import.meta.url,
    schemaParts,
    config,
    peers,
    parts,
    connections: 12,
  })
  const { db, log } = host
  const { catalog, auth, sync } = host.peers
  const pointerDb = openDatabase({
    url: config.databaseUrl,
    schema: 'registry',
    max: 2,
    statementTimeoutMs: pointerTimeoutMs,
    planOnce: true,
    onError: (error) => log.warn('database connection lost', { error }),
  })
  measureDisks(blobs, parts.metrics)
  const isolation = createIsolation({ db: db.background, log, metrics: parts.metrics })
  const lately = createLatelyServed()
  const onPointed = () => lately.clear()
  const follower = createFollower({ db: db.background, catalog, isolation, log, onPointed })
  const listedPulls = createListedPulls(db, catalog)
  let gateway: RequestListener | undefined

  const openGateway = async ({ keep }: Preparing) => {
    keep('database of pointers', { stop: () => pointerDb.close() })
    await checkStoreIdentity(db, blobs, { adopt: config.storeAdopt, content })
    const keys = keep('token keys', await startTokenKeys({ db, auth, log }))
    const gatekeeper = createGatekeeper({
      tokens: keys.check,
      refreshKeys: keys.refresh,
      auth,
      externalUrl: config.externalUrl,
    })
    gateway = createGateway({
      pulls: keep('last pulls', gatherPulls({ catalog, log })),
      listedPulls,
      db,
      blobs,
      catalog,
      sync,
      follower,
      lookup: createLookup(db),
      pushed: createPushedBlobs({ catalog, follower, blobs, keepSeconds: config.pushLeaseSeconds }),
      generations: createGenerations(catalog),
      sessions: {
        db,
        ids: createSessionIds(deriveSecret(config.servicePrivateKey, 'upload session ids')),
        young: blobs.keepsSmallParts
          ? keep(
              'young uploads',
              createYoungSessions((...first) => recordYoung(db, ...first)),
            )
          : undefined,
      },
      schema1Key: createSchema1Key(db, deriveSecret(config.servicePrivateKey, 'schema 1 signing key')),
      readPointer: createPointerReader(
        pointerDb,
        createIntactGuard(db.background, { compare: () => follower.followAll(), log }),
      ),
      lately,
      gatekeeper,
      seeAs: createSeeAs(auth),
      denied: host.denied,
      externalUrl: config.externalUrl,
      log,
      metrics: parts.metrics,
    })
  }

  const startFollowing = async ({ loop, follow, keep }: Running) => {
    const first = Promise.withResolvers<void>()
    loop('comparing', {
      everyMs: compareEveryMs,
      pauseAfterFailureMs: compareAgainMs,
      failure: 'catalog does not answer; serving what is known',
      run: async () => {
        await follower.followAll()
        first.resolve()
      },
    })
    keep('following', followEvents({ db: db.background, follow, follower, isolation, log }))
    // With catalog away we serve what we know; the loop above goes on trying.
    await Promise.race([first.promise, new Promise((resolve) => void setTimeout(resolve, catchUpPatienceMs).unref())])
  }

  const sweep = async () => {
    const mayDelete = async () => (await catalog.call('check-may-delete', {})).mayDelete
    const leftovers = await sweepUploads(db.background, blobs, mayDelete)
    if (leftovers > 0) log.info('leftovers of uploads removed', { leftovers })
    await pruneModel(db.background)
  }

  const listPulls = ({ loop }: Running) => {
    loop('listed pulls', {
      everyMs: recordPullsEveryMs,
      failure: 'pulls will be listed in the audit trail later',
      alsoAtStop: true,
      run: () => listedPulls.record(),
    })
    loop('namespaces with listed pulls', {
      everyMs: learnListedEveryMs,
      failure: 'catalog does not say of which namespaces pulls are listed; those that are known are',
      run: (signal) => listedPulls.refresh(signal),
    })
  }

  return host.service({
    public: (request, response) => {
      if (gateway) gateway(request, response)
      else response.writeHead(503, { ...inertHeaders, 'retry-after': '2', 'content-length': 0 }).end()
    },
    commands: registryCommands(follower, isolation),
    prepare: openGateway,
    start: async (running) => {
      await startFollowing(running)
      running.loop('sweeping', { everyMs: sweepEveryMs, failure: 'sweeping will be tried again', run: sweep })
      watchStoreIdentity(running, db, blobs, content)
      listPulls(running)
    },
    notes: async () => {
      const isolatedRepositories = await isolation.count()
      return { ...(await reserveNotes(blobs)), ...(isolatedRepositories === 0 ? {} : { isolatedRepositories }) }
    },
    probe: pointerDb,
    unready: () => (follower.isComplete() ? blobs.unready?.() : 'still learning what is served'),
  })
}
