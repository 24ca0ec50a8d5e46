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

/** How long tasks that have ended are shown, in days; the standalone stack reads this too. */
export const taskSettings = {
  taskKeptDays: integer('BERTH_TASK_KEPT_DAYS', { min: 1, max: 3_650 }, { fallback: 30 }),
}

/** What tasks reads from the environment. */
export const tasksSettings = {
  databaseUrl: url('BERTH_DATABASE_URL', ['postgres', 'postgresql']),
  natsUrl: url('BERTH_NATS_URL', ['nats']),
  port: integer('BERTH_PORT', { min: 0, max: 65_535 }, { fallback: 8080 }),
  host: text('BERTH_HOST', { fallback: '0.0.0.0' }),
  internalPort: integer('BERTH_INTERNAL_PORT', { min: 0, max: 65_535 }, { fallback: 9104 }),
  internalHost: text('BERTH_INTERNAL_HOST', { fallback: '127.0.0.1' }),
  serviceKey: secretKey('BERTH_SERVICE_KEY'),
  authUrl: url('BERTH_AUTH_URL', ['http'], { fallback: 'http://127.0.0.1:9106' }),
  ...callSettings,
  ...taskSettings,
  ...originSettings,
  ...logSettings,
  ...restoredSettings,
}
export type TasksConfig = Pick<ConfigOf<typeof tasksSettings>, 'databaseUrl' | 'natsUrl' | 'serviceKey' | 'authUrl'> &
  OriginSettings &
  Partial<ConfigOf<typeof callSettings> & ConfigOf<typeof taskSettings>> &
  Partial<ConfigOf<typeof restoredSettings>>
