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

/** What build reads from the environment. */
export const buildSettings = {
  databaseUrl: url('BERTH_DATABASE_URL', ['postgres', 'postgresql']),
  natsUrl: url('BERTH_NATS_URL', ['nats']),
  port: integer('BERTH_PORT', { min: 0, max: 65_535 }, { fallback: 8080 }),
  host: text('BERTH_HOST', { fallback: '0.0.0.0' }),
  internalPort: integer('BERTH_INTERNAL_PORT', { min: 0, max: 65_535 }, { fallback: 9105 }),
  internalHost: text('BERTH_INTERNAL_HOST', { fallback: '127.0.0.1' }),
  serviceKey: secretKey('BERTH_SERVICE_KEY'),
  authUrl: url('BERTH_AUTH_URL', ['http'], { fallback: 'http://127.0.0.1:9106' }),
  ...callSettings,
  ...originSettings,
  ...logSettings,
  ...restoredSettings,
}
export type BuildConfig = Pick<ConfigOf<typeof buildSettings>, 'databaseUrl' | 'natsUrl' | 'serviceKey' | 'authUrl'> &
  OriginSettings &
  Partial<ConfigOf<typeof callSettings>> &
  Partial<ConfigOf<typeof restoredSettings>>
