import { optionalText } from './config.ts'
import { StartupError } from './startup-error.ts'

/** The key that stored secrets are sealed under, and those that still open older ones. */
export const secretsSettings = {
  /** 32 bytes in base64 or hex. */
  secretsKey: optionalText('BERTH_SECRETS_KEY', { secret: true }),
  /** Keys that only open, separated by commas. */
  secretsPreviousKeys: optionalText('BERTH_SECRETS_PREVIOUS_KEYS', { secret: true }),
}

/** The settings of a service that cannot start without a key. Throws `StartupError`. */
export function withSecretsKey<T extends { secretsKey: string | undefined }>(
  config: T,
): Omit<T, 'secretsKey'> & { secretsKey: string } {
  const { secretsKey } = config
  if (secretsKey === undefined)
    throw new StartupError(
      'BERTH_SECRETS_KEY is not set',
      'set it, or BERTH_SECRETS_KEY_FILE; openssl rand -base64 32 makes one',
    )
  return { ...config, secretsKey }
}
