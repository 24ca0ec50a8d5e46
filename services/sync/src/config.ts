import { tmpdir } from 'node:os'
import path from 'node:path'
import {
  type ConfigOf,
  callSettings,
  deadLetterSettings,
  integer,
  logSettings,
  type OriginSettings,
  optionalUrl,
  originSettings,
  restoredSettings,
  secretKey,
  secretsSettings,
  text,
  url,
} from '@berth/service'

import { workerSettings } from '@berth/worker'

/** What sync reads from the environment. */
export const syncSettings = {
  databaseUrl: url('BERTH_DATABASE_URL', ['postgres', 'postgresql']),
  natsUrl: url('BERTH_NATS_URL', ['nats']),
  port: integer('BERTH_PORT', { min: 0, max: 65_535 }, { fallback: 8080 }),
  host: text('BERTH_HOST', { fallback: '0.0.0.0' }),
  internalPort: integer('BERTH_INTERNAL_PORT', { min: 0, max: 65_535 }, { fallback: 9103 }),
  internalHost: text('BERTH_INTERNAL_HOST', { fallback: '127.0.0.1' }),
  serviceKey: secretKey('BERTH_SERVICE_KEY'),
  ...secretsSettings,
  spoolDirectory: text('BERTH_SPOOL_DIR', { fallback: path.join(tmpdir(), 'berth-spool') }),
  internalUrl: optionalUrl('BERTH_INTERNAL_URL', ['http']),
  catalogUrl: url('BERTH_CATALOG_URL', ['http'], { fallback: 'http://127.0.0.1:9102' }),
  tasksUrl: url('BERTH_TASKS_URL', ['http'], { fallback: 'http://127.0.0.1:9104' }),
  authUrl: url('BERTH_AUTH_URL', ['http'], { fallback: 'http://127.0.0.1:9106' }),
  ...workerSettings,
  ...callSettings,
  ...deadLetterSettings,
  ...originSettings,
  ...logSettings,
  ...restoredSettings,
}
export type SyncConfig = Pick<
  ConfigOf<typeof syncSettings>,
  | 'databaseUrl'
  | 'natsUrl'
  | 'serviceKey'
  | 'spoolDirectory'
  | 'internalUrl'
  | 'catalogUrl'
  | 'tasksUrl'
  | 'authUrl'
  | keyof typeof workerSettings
> &
  OriginSettings & {
    secretsKey: string
    secretsPreviousKeys?: string | undefined
    storeAdopt?: string | undefined
  } & Partial<ConfigOf<typeof callSettings> & ConfigOf<typeof deadLetterSettings>> &
  Partial<ConfigOf<typeof restoredSettings>>
