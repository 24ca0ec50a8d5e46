import { connectBus, natsNotes, readOutbox, startRelay } from '@berth/bus'
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
import { buildHandlers } from './api.ts'
import type { BuildConfig } from './config.ts'
import { openPrisma } from './db/client.ts'
import { schemaParts } from './db/schema-parts.ts'

const name = 'build'

/** Builds the build service: what was built, by whom, and what came of it. */
export function createBuild(config: BuildConfig, { log: base, metrics, localPeers }: ServiceParts): Service {
  const log = base.with({ service: name })
  const life = new Lifecycle(log)
  const db = openDatabase({
    url: config.databaseUrl,
    schema: name,
    max: 4,
    onError: (error) => log.warn('database connection lost', { error }),
  })
  const auth = createInternalClient({
    baseUrl: config.authUrl,
    from: name,
    to: 'auth',
    serviceKey: config.serviceKey,
    callTimeoutSeconds: config.callTimeoutSeconds,
    localPeers,
  })

  return {
    name,
    public: createApi({
      service: name,
      document: readApiDocument(new URL('../openapi.yaml', import.meta.url)),
      handlers: buildHandlers(openPrisma(db)),
      externalUrl: config.externalUrl,
      identify: identifyThrough(auth),
      log,
      metrics,
    }),
    internal: createInternalServer({
      service: name,
      serviceKey: config.serviceKey,
      log,
      commands: { events: ({ after }: { after: number }) => readOutbox(db, after) },
    }),
    start: async () => {
      life.onStop('auth client', () => auth.close())
      life.onStop('database', () => db.close())
      await applyMigrations({
        url: config.databaseUrl,
        schema: name,
        parts: schemaParts,
      })
      const bus = await connectBus({ url: config.natsUrl, name: `berth-${name}`, log, metrics })
      life.onStop('nats', () => bus.close())
      const relay = startRelay({ db, bus, source: name, log, restored: config.restored })
      life.onStop('relay', () => relay.stop())
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
