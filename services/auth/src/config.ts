import { type HostConfig, hostSettings } from '@berth/host'
import { optionalText, secretsSettings } from '@berth/service'

/** Whose objects auth keeps a copy of, to decide about them. */
export const peers = ['catalog', 'sync'] as const

/** What auth reads from the environment. */
export const authSettings = {
  ...hostSettings('auth', peers),
  ...secretsSettings,
  /** The password of `admin`. Absent: one is made at the first start. When it differs from the stored one, it is set. */
  adminPassword: optionalText('BERTH_ADMIN_PASSWORD', { secret: true }),
}
export type AuthConfig = HostConfig<(typeof peers)[number]> & {
  secretsKey: string
  secretsPreviousKeys?: string | undefined
  adminPassword: string | undefined
}
