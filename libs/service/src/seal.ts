import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { StartupError } from './startup-error.ts'

/** Seals secrets for the database. `context` says whose secret it is; it cannot be opened as anybody else's. */
export type Sealer = {
  seal(secret: string, context: string): Buffer
  /** Throws when it was sealed under another key or context, or was changed. */
  open(sealed: Buffer, context: string): string
}

const cipher = 'aes-256-gcm'
const keyBytes = 32
const keyIdBytes = 4
const nonceBytes = 12
const tagBytes = 16

/**
 * AES-256-GCM under the installation's key: key id, nonce, tag, cipher text. The id names the key without telling it.
 * Throws `StartupError` when the key is not 32 bytes in base64 or hex.
 */
export function createSealer(secretsKey: string): Sealer {
  const key = Buffer.from(secretsKey, /^[0-9a-f]{64}$/i.test(secretsKey) ? 'hex' : 'base64')
  if (key.length !== keyBytes)
    throw new StartupError(
      'BERTH_SECRETS_KEY is not a key of 32 bytes in base64 or hex',
      'make one with: openssl rand -base64 32',
    )
  const keyId = createHash('sha256').update(key).digest().subarray(0, keyIdBytes)
  return {
    seal: (secret, context) => {
      const nonce = randomBytes(nonceBytes)
      const sealing = createCipheriv(cipher, key, nonce).setAAD(Buffer.from(context))
      const text = Buffer.concat([sealing.update(secret, 'utf8'), sealing.final()])
      return Buffer.concat([keyId, nonce, sealing.getAuthTag(), text])
    },
    open: (sealed, context) => {
      if (!sealed.subarray(0, keyIdBytes).equals(keyId))
        throw new Error('this secret was sealed under another BERTH_SECRETS_KEY')
      const nonce = sealed.subarray(keyIdBytes, keyIdBytes + nonceBytes)
      const tag = sealed.subarray(keyIdBytes + nonceBytes, keyIdBytes + nonceBytes + tagBytes)
      const opening = createDecipheriv(cipher, key, nonce, { authTagLength: tagBytes })
        .setAAD(Buffer.from(context))
        .setAuthTag(tag)
      return Buffer.concat([
        opening.update(sealed.subarray(keyIdBytes + nonceBytes + tagBytes)),
        opening.final(),
      ]).toString('utf8')
    },
  }
}
