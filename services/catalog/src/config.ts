import { type HostConfig, hostSettings } from '@berth/host'
import { type ConfigOf, flag, integer, optionalText, parsed } from '@berth/service'
import { workerSettings } from '@berth/worker'
import { readTrustedKeys } from './archives/signature.ts'
import { exportSigningKey } from './exports/signing-key.ts'

/** How the collector works (docs/how-to/store.md); the standalone stack reads this too. */
export const collectorSettings = {
  gcGraceSeconds: integer('BERTH_GC_GRACE_SECONDS', { min: 0, max: 31_536_000 }, { fallback: 86_400 }),
}

/** For how many days it is known what was served (docs/how-to/history.md); the standalone stack reads this too. */
export const historySettings = {
  historyDays: integer('BERTH_HISTORY_DAYS', { min: 1, max: 36_500 }, { fallback: 400 }),
}

/** What is carried to places without a network (docs/how-to/air-gap.md); the standalone stack reads this too. */
export const transferSettings = {
  transferDirectory: optionalText('BERTH_TRANSFER_DIR'),
  exportSigningKey: exportSigningKey('BERTH_EXPORT_SIGNING_KEY'),
  rsyncHosts: parsed<readonly string[]>(
    'BERTH_RSYNC_HOSTS',
    'hosts as host or host:port, between commas',
    (text) => {
      const hosts = text.split(',').map((one) => one.trim())
      return hosts.every((one) => /^[A-Za-z0-9][A-Za-z0-9.-]*(:\d{1,5})?$/.test(one)) ? hosts : undefined
    },
    { fallback: [] },
  ),
  rsyncKeys: optionalText('BERTH_RSYNC_KEYS_DIR'),
  rsyncKnownHosts: optionalText('BERTH_RSYNC_KNOWN_HOSTS'),
  importTrustedKeys: parsed(
    'BERTH_IMPORT_TRUSTED_KEYS',
    'public keys in PEM one behind the other, as openssl pkey -pubout makes them of ed25519 keys',
    readTrustedKeys,
    { fallback: [] },
  ),
  importRequireSignature: flag('BERTH_IMPORT_REQUIRE_SIGNATURE', { fallback: false }),
}

const ownSettings = {
  ...collectorSettings,
  ...historySettings,
  ...transferSettings,
  ...workerSettings,
}

/** The services that catalog asks. */
export const peers = ['registry', 'auth', 'tasks', 'sync'] as const

/** What catalog reads from the environment. */
export const catalogSettings = { ...hostSettings('catalog', peers), ...ownSettings }
export type CatalogConfig = HostConfig<(typeof peers)[number]> &
  ConfigOf<typeof ownSettings> & { storeAdopt?: string | undefined }
