import { tmpdir } from 'node:os'
import path from 'node:path'
import { type HostConfig, hostSettings } from '@berth/host'
import { type ConfigOf, optionalUrl, secretsSettings, text } from '@berth/service'
import { workerSettings } from '@berth/worker'

const ownSettings = {
  spoolDirectory: text('BERTH_SPOOL_DIR', { fallback: path.join(tmpdir(), 'berth-spool') }),
  internalUrl: optionalUrl('BERTH_INTERNAL_URL', ['http', 'https']),
  ...workerSettings,
}

/** The services that sync asks. */
export const peers = ['catalog', 'tasks', 'auth'] as const

/** What sync reads from the environment. */
export const syncSettings = { ...hostSettings('sync', peers), ...secretsSettings, ...ownSettings }
export type SyncConfig = HostConfig<(typeof peers)[number]> &
  ConfigOf<typeof ownSettings> & {
    secretsKey: string
    secretsPreviousKeys?: string | undefined
    storeAdopt?: string | undefined
  }
