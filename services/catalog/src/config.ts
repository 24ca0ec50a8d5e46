import { type ConfigOf, choice, integer, logLevels, text, url } from '@berth/service'

/** What catalog reads from the environment. */
export const catalogSettings = {
  databaseUrl: url('BERTH_DATABASE_URL', ['postgres', 'postgresql']),
  natsUrl: url('BERTH_NATS_URL', ['nats']),
  port: integer('BERTH_PORT', { min: 0, max: 65_535 }, { fallback: 8080 }),
  host: text('BERTH_HOST', { fallback: '0.0.0.0' }),
  internalPort: integer('BERTH_INTERNAL_PORT', { min: 0, max: 65_535 }, { fallback: 9102 }),
  internalHost: text('BERTH_INTERNAL_HOST', { fallback: '127.0.0.1' }),
  serviceKey: text('BERTH_SERVICE_KEY', { secret: true }),
  registryUrl: url('BERTH_REGISTRY_URL', ['http'], { fallback: 'http://127.0.0.1:9101' }),
  authUrl: url('BERTH_AUTH_URL', ['http'], { fallback: 'http://127.0.0.1:9106' }),
  logLevel: choice('BERTH_LOG_LEVEL', logLevels, { fallback: 'info' }),
}
export type CatalogConfig = Pick<
  ConfigOf<typeof catalogSettings>,
  'databaseUrl' | 'natsUrl' | 'serviceKey' | 'registryUrl' | 'authUrl'
>
