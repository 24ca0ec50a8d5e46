import { type HostConfig, hostSettings } from '@berth/host'
import { type ConfigOf, integer } from '@berth/service'
import { workerSettings } from '@berth/worker'

/** How the collector works (docs/how-to/store.md); the standalone stack reads this too. */
export const collectorSettings = {
  gcGraceSeconds: integer('BERTH_GC_GRACE_SECONDS', { min: 0, max: 31_536_000 }, { fallback: 86_400 }),
}

/** For how many days it is known what was served (docs/how-to/history.md); the standalone stack reads this too. */
export const historySettings = {
  historyDays: integer('BERTH_HISTORY_DAYS', { min: 1, max: 36_500 }, { fallback: 400 }),
}

const ownSettings = {
  ...collectorSettings,
  ...historySettings,
  ...workerSettings,
}

/** The services that catalog asks. */
export const peers = ['registry', 'auth', 'tasks', 'sync'] as const

/** What catalog reads from the environment. */
export const catalogSettings = { ...hostSettings('catalog', peers), ...ownSettings }
export type CatalogConfig = HostConfig<(typeof peers)[number]> &
  ConfigOf<typeof ownSettings> & { storeAdopt?: string | undefined }
