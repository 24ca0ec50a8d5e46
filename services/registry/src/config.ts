import {
  type ConfigOf,
  callSettings,
  deadLetterSettings,
  integer,
  logSettings,
  originSettings,
  restoredSettings,
  secretKey,
  text,
  url,
} from '@berth/service'

/** How pushes are kept; the standalone stack reads this too. */
export const pushSettings = {
  pushLeaseSeconds: integer('BERTH_PUSH_LEASE_SECONDS', { min: 1, max: 604_800 }, { fallback: 7_200 }),
}

/** What registry reads from the environment. */
export const registrySettings = {
  databaseUrl: url('BERTH_DATABASE_URL', ['postgres', 'postgresql']),
  natsUrl: url('BERTH_NATS_URL', ['nats']),
  port: integer('BERTH_PORT', { min: 0, max: 65_535 }, { fallback: 8080 }),
  host: text('BERTH_HOST', { fallback: '0.0.0.0' }),
  internalPort: integer('BERTH_INTERNAL_PORT', { min: 0, max: 65_535 }, { fallback: 9101 }),
  internalHost: text('BERTH_INTERNAL_HOST', { fallback: '127.0.0.1' }),
  serviceKey: secretKey('BERTH_SERVICE_KEY'),
  ...originSettings,
  catalogUrl: url('BERTH_CATALOG_URL', ['http'], { fallback: 'http://127.0.0.1:9102' }),
  authUrl: url('BERTH_AUTH_URL', ['http'], { fallback: 'http://127.0.0.1:9106' }),
  syncUrl: url('BERTH_SYNC_URL', ['http'], { fallback: 'http://127.0.0.1:9103' }),
  ...pushSettings,
  ...callSettings,
  ...logSettings,
  ...restoredSettings,
  ...deadLetterSettings,
}
export type RegistryConfig = Pick<
  ConfigOf<typeof registrySettings>,
  'databaseUrl' | 'natsUrl' | 'serviceKey' | 'externalUrl' | 'catalogUrl' | 'authUrl' | 'syncUrl' | 'pushLeaseSeconds'
> &
  Partial<ConfigOf<typeof callSettings> & ConfigOf<typeof deadLetterSettings>> & {
    storeAdopt?: string | undefined
  } & Partial<ConfigOf<typeof restoredSettings>>
