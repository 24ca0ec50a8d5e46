import {
  type ConfigOf,
  callSettings,
  integer,
  logSettings,
  type OriginSettings,
  originSettings,
  restoredSettings,
  secretKey,
  text,
  url,
} from '@berth/service'
import { workerSettings } from '@berth/worker'

/** How the collector works (docs/how-to/store.md); the standalone stack reads these too. */
export const collectorSettings = {
  gcIntervalSeconds: integer('BERTH_GC_INTERVAL_SECONDS', { min: 0, max: 2_592_000 }, { fallback: 3_600 }),
  gcGraceSeconds: integer('BERTH_GC_GRACE_SECONDS', { min: 0, max: 31_536_000 }, { fallback: 86_400 }),
}

/** How often the rules of retention are applied; the standalone stack reads this too. 0: only when asked for. */
export const retentionSettings = {
  retentionIntervalSeconds: integer(
    'BERTH_RETENTION_INTERVAL_SECONDS',
    { min: 0, max: 2_592_000 },
    { fallback: 86_400 },
  ),
}

/** How stored bytes are looked at by themselves (docs/how-to/store.md); the standalone stack reads these too. */
export const scrubSettings = {
  scrubIntervalSeconds: integer('BERTH_SCRUB_INTERVAL_SECONDS', { min: 0, max: 31_536_000 }, { fallback: 2_592_000 }),
  scrubBytesPerSecond: integer('BERTH_SCRUB_BYTES_PER_SECOND', { min: 64 << 10, max: 2 ** 40 }, { fallback: 4 << 20 }),
}

/** What catalog reads from the environment. */
export const catalogSettings = {
  databaseUrl: url('BERTH_DATABASE_URL', ['postgres', 'postgresql']),
  natsUrl: url('BERTH_NATS_URL', ['nats']),
  port: integer('BERTH_PORT', { min: 0, max: 65_535 }, { fallback: 8080 }),
  host: text('BERTH_HOST', { fallback: '0.0.0.0' }),
  internalPort: integer('BERTH_INTERNAL_PORT', { min: 0, max: 65_535 }, { fallback: 9102 }),
  internalHost: text('BERTH_INTERNAL_HOST', { fallback: '127.0.0.1' }),
  serviceKey: secretKey('BERTH_SERVICE_KEY'),
  registryUrl: url('BERTH_REGISTRY_URL', ['http'], { fallback: 'http://127.0.0.1:9101' }),
  authUrl: url('BERTH_AUTH_URL', ['http'], { fallback: 'http://127.0.0.1:9106' }),
  tasksUrl: url('BERTH_TASKS_URL', ['http'], { fallback: 'http://127.0.0.1:9104' }),
  syncUrl: url('BERTH_SYNC_URL', ['http'], { fallback: 'http://127.0.0.1:9103' }),
  ...collectorSettings,
  ...retentionSettings,
  ...scrubSettings,
  ...workerSettings,
  ...callSettings,
  ...originSettings,
  ...logSettings,
  ...restoredSettings,
}
export type CatalogConfig = Pick<
  ConfigOf<typeof catalogSettings>,
  | 'databaseUrl'
  | 'natsUrl'
  | 'serviceKey'
  | 'registryUrl'
  | 'authUrl'
  | 'tasksUrl'
  | 'syncUrl'
  | keyof typeof collectorSettings
  | keyof typeof retentionSettings
  | keyof typeof scrubSettings
  | keyof typeof workerSettings
> &
  OriginSettings &
  Partial<ConfigOf<typeof callSettings>> & { storeAdopt?: string | undefined } & Partial<
    ConfigOf<typeof restoredSettings>
  >
