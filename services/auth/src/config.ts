import { type HostConfig, hostSettings } from '@berth/host'
import { integer, optionalText, secretsSettings } from '@berth/service'

/** Whose objects auth keeps a copy of, to decide about them. */
export const peers = ['catalog', 'sync', 'tasks'] as const

/** What `admin` logs in with. */
export const adminSettings = {
  /** Its password from then on: when it differs from the stored one, it is set. */
  adminPassword: optionalText('BERTH_ADMIN_PASSWORD', { secret: true }),
  /** Its password at the first start only, instead of one that is made then. */
  adminFirstPassword: optionalText('BERTH_ADMIN_FIRST_PASSWORD', { secret: true }),
}

/** What may be set about people of identity providers. */
export const externalLoginSettings = {
  /** How long their personal tokens go on without a login through the provider. */
  externalLoginDays: integer('BERTH_EXTERNAL_LOGIN_DAYS', { min: 1, max: 3_650 }, { fallback: 30 }),
}

/** What auth reads from the environment. */
export const authSettings = {
  ...hostSettings('auth', peers),
  ...secretsSettings,
  ...adminSettings,
  ...externalLoginSettings,
}
export type AuthConfig = HostConfig<(typeof peers)[number]> & {
  secretsKey: string
  secretsPreviousKeys?: string | undefined
  adminPassword: string | undefined
  adminFirstPassword: string | undefined
  externalLoginDays: number
}
