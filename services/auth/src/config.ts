import {
  type ConfigOf,
  integer,
  logSettings,
  type OriginSettings,
  optionalText,
  originSettings,
  restoredSettings,
  secretKey,
  secretsSettings,
  text,
  url,
} from '@berth/service'

/** What auth reads from the environment. */
export const authSettings = {
  databaseUrl: url('BERTH_DATABASE_URL', ['postgres', 'postgresql']),
  natsUrl: url('BERTH_NATS_URL', ['nats']),
  port: integer('BERTH_PORT', { min: 0, max: 65_535 }, { fallback: 8080 }),
  host: text('BERTH_HOST', { fallback: '0.0.0.0' }),
  internalPort: integer('BERTH_INTERNAL_PORT', { min: 0, max: 65_535 }, { fallback: 9106 }),
  internalHost: text('BERTH_INTERNAL_HOST', { fallback: '127.0.0.1' }),
  serviceKey: secretKey('BERTH_SERVICE_KEY'),
  ...secretsSettings,
  /** The password of `admin`. Absent: one is made at the first start. When it differs from the stored one, it is set. */
  adminPassword: optionalText('BERTH_ADMIN_PASSWORD', { secret: true }),
  ...originSettings,
  ...logSettings,
  ...restoredSettings,
}
export type AuthConfig = Pick<
  ConfigOf<typeof authSettings>,
  'databaseUrl' | 'natsUrl' | 'serviceKey' | 'adminPassword'
> &
  OriginSettings & { secretsKey: string; secretsPreviousKeys?: string | undefined } & Partial<
    ConfigOf<typeof restoredSettings>
  >
