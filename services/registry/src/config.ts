import { type HostConfig, hostSettings } from '@berth/host'
import { type ConfigOf, integer } from '@berth/service'

/** How pushes are kept; the standalone stack reads this too. */
export const pushSettings = {
  pushLeaseSeconds: integer('BERTH_PUSH_LEASE_SECONDS', { min: 1, max: 604_800 }, { fallback: 7_200 }),
}

/** The services that registry asks. */
export const peers = ['catalog', 'auth', 'sync'] as const

/** What registry reads from the environment. */
export const registrySettings = { ...hostSettings('registry', peers), ...pushSettings }
export type RegistryConfig = HostConfig<(typeof peers)[number]> &
  ConfigOf<typeof pushSettings> & { storeAdopt?: string | undefined }
