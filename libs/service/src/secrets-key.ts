import { readFileSync } from 'node:fs'
import { optionalText } from './config.ts'
import { StartupError } from './startup-error.ts'

/** Where the key comes from that stored secrets are sealed under, and those that still open older ones. */
export const secretsSettings = {
  /** 32 bytes in base64 or hex. */
  secretsKey: optionalText('BERTH_SECRETS_KEY', { secret: true }),
  /** A file that holds it instead. */
  secretsKeyFile: optionalText('BERTH_SECRETS_KEY_FILE'),
  /** Keys that only open, separated by commas. */
  secretsPreviousKeys: optionalText('BERTH_SECRETS_PREVIOUS_KEYS', { secret: true }),
}
type Given = { secretsKey: string | undefined; secretsKeyFile: string | undefined }

/** The key of the environment or of its file; `undefined` when neither is named. Throws `StartupError`. */
export function readSecretsKey({ secretsKey, secretsKeyFile }: Given): string | undefined {
  if (secretsKeyFile === undefined) return secretsKey
  if (secretsKey !== undefined)
    throw new StartupError('BERTH_SECRETS_KEY and BERTH_SECRETS_KEY_FILE are both set', 'take one of them away')
  try {
    return readFileSync(secretsKeyFile, 'utf8').trim()
  } catch (cause) {
    throw new StartupError(
      `BERTH_SECRETS_KEY_FILE=${secretsKeyFile} cannot be read`,
      'name a file that this user may read, with 32 bytes in base64 or hex',
      { cause },
    )
  }
}

/** The settings of a service that cannot start without a key. Throws `StartupError`. */
export function withSecretsKey<T extends Given>(config: T): Omit<T, 'secretsKey'> & { secretsKey: string } {
  const secretsKey = readSecretsKey(config)
  if (secretsKey === undefined)
    throw new StartupError(
      'BERTH_SECRETS_KEY is not set',
      'set it, or BERTH_SECRETS_KEY_FILE; openssl rand -base64 32 makes one',
    )
  return { ...config, secretsKey }
}
