import { type HostConfig, hostSettings } from '@berth/host'
import { optionalText, secretsSettings } from '@berth/service'

/** What auth reads from the environment. */
export const authSettings = {
  ...hostSettings('auth', []),
  ...secretsSettings,
  /** The password of `admin`. Absent: one is made at the first start. When it differs from the stored one, it is set. */
  adminPassword: optionalText('BERTH_ADMIN_PASSWORD', { secret: true }),
}
export type AuthConfig = HostConfig<never> & {
  secretsKey: string
  secretsPreviousKeys?: string | undefined
  adminPassword: string | undefined
}
