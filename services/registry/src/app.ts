import type { RequestListener } from 'node:http'
import { type BlobStore, checkStoreIdentity, measureDisks, reserveNotes } from '@berth/blobs'
import { connectBus, natsNotes, startLoop, startRelay } from '@berth/bus'
import { type AuthCommands, type CatalogCommands, commandsOf, type SyncCommands } from '@berth/commands'
import {
  applyMigrations,
  createInternalClient,
  createInternalServer,
  inertHeaders,
  Lifecycle,
  type Notes,
  openDatabase,
  type Service,
  type ServiceParts,
} from '@berth/service'
import { createGatekeeper } from './access/authorize.ts'
import { startTokenKeys } from './access/token-keys.ts'
import { registryCommands } from './commands.ts'
import type { RegistryConfig } from './config.ts'
import { schemaParts } from './db/schema-parts.ts'
import { createGateway } from './gateway/gateway.ts'
import { createFollower } from './model/follow.ts'
import { createIsolation } from './model/isolation.ts'
import { createLookup } from './model/lookup.ts'
import { followEvents } from './model/on-catalog-event.ts'
import { createPointerReader } from './model/pointer.ts'
import { pruneModel } from './model/prune.ts'
import { gatherPulls } from './pull/last-pulls.ts'
import { createSessionIds } from './push/session-id.ts'
import { createLeases } from './push/store-blob.ts'
import { sweepUploads } from './push/sweep.ts'
import { createSchema1Key } from './schema1/signing-key.ts'

const name = 'registry'
const sweepEveryMs = 600_000
const compareEveryMs = 60_000
const catchUpPatienceMs = 5_000
// A pull must not wait long for a database that hangs; clients try again.
const pointerTimeoutMs = 2_000

/** Builds the registry: the distribution API, and the read model that pulls are answered from. */
export function createRegistry(
  config: RegistryConfig,
  { log: base, metrics, localPeers, blobs }: ServiceParts & { blobs: BlobStore },
): Service {
  const log = base.with({ service: name })
  const life = new Lifecycle(log)
  const onError = (error: Error) => log.warn('database connection lost', { error })
  const db = openDatabase({ url: config.databaseUrl, schema: name, max: 12, onError })
  const pointerDb = openDatabase({
    url: config.databaseUrl,
    schema: name,
    max: 2,
    statementTimeoutMs: pointerTimeoutMs,
    onError,
  })
  const { serviceKey, callTimeoutSeconds } = config
  const client = (to: string, baseUrl: string) =>
    createInternalClient({ baseUrl, from: name, to, serviceKey, callTimeoutSeconds, localPeers })
  const catalogClient = client('catalog', config.catalogUrl)
  const authClient = client('auth', config.authUrl)
  const syncClient = client('sync', config.syncUrl)
  const catalog = commandsOf<CatalogCommands>(catalogClient)
  const auth = commandsOf<AuthCommands>(authClient)
  measureDisks(blobs, metrics)
  const isolation = createIsolation({ db: db.background, log, metrics })
  const follower = createFollower({ db: db.background, catalog, isolation, log })
  let gateway: RequestListener | undefined

  const start = async () => {
    life.onStop(
      'clients',
      async () => void (await Promise.all([catalogClient, authClient, syncClient].map((one) => one.close()))),
    )
    life.onStop('database', async () => void (await Promise.all([db.close(), pointerDb.close()])))
    await applyMigrations({
      url: config.databaseUrl,
      schema: name,
      parts: schemaParts,
    })
    await checkStoreIdentity(db, blobs, config.storeAdopt)
    const keys = await startTokenKeys({ db, auth, log })
    life.onStop('token keys', () => keys.stop())
    const gatekeeper = createGatekeeper({
      tokens: keys.check,
      refreshKeys: keys.refresh,
      auth,
      externalUrl: config.externalUrl,
    })
    const pulls = gatherPulls({ catalog, log })
    life.onStop('last pulls', () => pulls.stop())
    gateway = createGateway({
      pulls,
      db,
      blobs,
      catalog,
      sync: commandsOf<SyncCommands>(syncClient),
      follower,
      lookup: createLookup(db),
      leases: createLeases(catalog, follower, config.pushLeaseSeconds),
      sessionIds: createSessionIds(config.serviceKey),
      schema1Key: createSchema1Key(db, config.serviceKey),
      readPointer: createPointerReader(pointerDb),
      gatekeeper,
      externalUrl: config.externalUrl,
      log,
      metrics,
    })
    await startFollowing()
    const sweeping = startLoop({
      pollMs: sweepEveryMs,
      pauseAfterFailureMs: sweepEveryMs,
      onError: (error) => log.warn('sweeping will be tried again', { error }),
      run: async () => {
        const leftovers = await sweepUploads(
          db.background,
          blobs,
          async () => (await catalog.call('may-delete', {})).mayDelete,
        )
        if (leftovers > 0) log.info('leftovers of uploads removed', { leftovers })
        await pruneModel(db.background)
      },
    })
    life.onStop('sweeping', () => sweeping.stop())
    const looking = startLoop({
      pollMs: sweepEveryMs,
      pauseAfterFailureMs: sweepEveryMs,
      onError: (error) => log.error('the identity of the blob store cannot be seen', { error }),
      run: () => checkStoreIdentity(db, blobs),
    })
    life.onStop('identity of the store', () => looking.stop())
  }

  const startFollowing = async () => {
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
    let firstDone = () => {}
    const first = new Promise<void>((resolve) => {
      firstDone = resolve
    })
    const comparing = startLoop({
      pollMs: compareEveryMs,
      pauseAfterFailureMs: 1_000,
      onError: (error) => log.warn('catalog does not answer; serving what is known', { error }),
      run: async () => {
        await follower.followAll()
        firstDone()
      },
    })
    life.onStop('comparing', () => comparing.stop())
    const following = followEvents({ db: db.background, bus, catalog, follower, isolation, log })
    life.onStop('following', () => following.stop())
    // With catalog away we serve what we know; the loop above goes on trying (design.md §4, "Answering").
    await Promise.race([first, new Promise((resolve) => void setTimeout(resolve, catchUpPatienceMs).unref())])
  }

  return {
    name,
    public: (request, response) => {
      if (gateway) gateway(request, response)
      else response.writeHead(503, { ...inertHeaders, 'retry-after': '2', 'content-length': 0 }).end()
    },
    internal: createInternalServer({
      service: name,
      serviceKey: config.serviceKey,
      log,
      commands: registryCommands(follower, isolation),
    }),
    start,
    stop: () => life.stop(),
    notes: async (): Promise<Notes> => {
      const isolatedRepositories = await isolation.count()
      return {
        ...natsNotes(),
        ...(await reserveNotes(blobs)),
        ...(isolatedRepositories === 0 ? {} : { isolatedRepositories }),
      }
    },
    unready: async () => {
      try {
        await pointerDb.query('select 1')
        return follower.isComplete() ? undefined : 'still learning what is served'
      } catch {
        return 'PostgreSQL does not answer'
      }
    },
  }
}
