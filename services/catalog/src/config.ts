import { type HostConfig, hostSettings } from '@berth/host'
import { type ConfigOf, integer } from '@berth/service'
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

/** For how many days it is known what was served (docs/how-to/history.md); the standalone stack reads this too. */
export const historySettings = {
  historyDays: integer('BERTH_HISTORY_DAYS', { min: 1, max: 36_500 }, { fallback: 400 }),
}

/** How stored bytes are looked at by themselves (docs/how-to/store.md); the standalone stack reads these too. */
export const scrubSettings = {
  scrubIntervalSeconds: integer('BERTH_SCRUB_INTERVAL_SECONDS', { min: 0, max: 31_536_000 }, { fallback: 2_592_000 }),
  scrubBytesPerSecond: integer('BERTH_SCRUB_BYTES_PER_SECOND', { min: 64 << 10, max: 2 ** 40 }, { fallback: 4 << 20 }),
}

const ownSettings = {
  ...collectorSettings,
  ...retentionSettings,
  ...historySettings,
  ...scrubSettings,
  ...workerSettings,
}

/** The services that catalog asks. */
export const peers = ['registry', 'auth', 'tasks', 'sync'] as const

/** What catalog reads from the environment. */
export const catalogSettings = { ...hostSettings('catalog', peers), ...ownSettings }
export type CatalogConfig = HostConfig<(typeof peers)[number]> &
  ConfigOf<typeof ownSettings> & { storeAdopt?: string | undefined }
