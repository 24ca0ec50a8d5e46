import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { noteSecret } from './secret-values.ts'
import { StartupError } from './startup-error.ts'

/** Seals secrets for the database. `context` says of what it is the secret; it cannot be opened as that of another thing. */
export type Sealer = {
  /** Names the key that it seals under, at the beginning of what it sealed. */
  readonly keyId: Buffer
  /** Whether it was sealed under that key, and not under a previous one. */
  isOwn(sealed: Buffer): boolean
  seal(secret: string, context: string): Buffer
  /** Throws when it was sealed under no key of ours or another context, or was changed. */
  open(sealed: Buffer, context: string): string
}

const cipher = 'aes-256-gcm'
const keyBytes = 32
const keyIdBytes = 4
const nonceBytes = 12
const tagBytes = 16

/**
 * AES-256-GCM under the installation's key: key id, nonce, tag, cipher text. The id names the key without telling it.
 * `previousKeys`, separated by commas, only open. Throws `StartupError` when a key is not 32 bytes in base64 or hex.
 */
export function createSealer(secretsKey: string, previousKeys = ''): Sealer {
  const own = readKey('BERTH_SECRETS_KEY', secretsKey)
  const older = previousKeys
    .split(',')
    .filter((text) => text.trim() !== '')
    .map((text) => readKey('BERTH_SECRETS_PREVIOUS_KEYS', text))
  const keyOf = (sealed: Buffer) => [own, ...older].find(({ id }) => sealed.subarray(0, keyIdBytes).equals(id))
  return {
    keyId: own.id,
    isOwn: (sealed) => sealed.subarray(0, keyIdBytes).equals(own.id),
    seal: (secret, context) => {
      const nonce = randomBytes(nonceBytes)
      const sealing = createCipheriv(cipher, own.key, nonce).setAAD(Buffer.from(context))
      const text = Buffer.concat([sealing.update(secret, 'utf8'), sealing.final()])
      return Buffer.concat([own.id, nonce, sealing.getAuthTag(), text])
    },
    open: (sealed, context) => {
      const found = keyOf(sealed)
      if (!found) throw new Error('this secret was sealed under another BERTH_SECRETS_KEY')
      const nonce = sealed.subarray(keyIdBytes, keyIdBytes + nonceBytes)
      const tag = sealed.subarray(keyIdBytes + nonceBytes, keyIdBytes + nonceBytes + tagBytes)
      const opening = createDecipheriv(cipher, found.key, nonce, { authTagLength: tagBytes })
        .setAAD(Buffer.from(context))
        .setAuthTag(tag)
      const cipherText = sealed.subarray(keyIdBytes + nonceBytes + tagBytes)
      const secret = Buffer.concat([opening.update(cipherText), opening.final()]).toString('utf8')
      // It is about to be used: what a peer says of it may come back in an error.
      noteSecret(secret)
      return secret
    },
  }
}

function readKey(variable: string, text: string): { id: Buffer; key: Buffer } {
  const bare = text.trim()
  const key = Buffer.from(bare, /^[0-9a-f]{64}$/i.test(bare) ? 'hex' : 'base64')
  if (key.length !== keyBytes)
    throw new StartupError(
      `${variable} is not a key of 32 bytes in base64 or hex`,
      'make one with: openssl rand -base64 32',
    )
  return { key, id: createHash('sha256').update(key).digest().subarray(0, keyIdBytes) }
}
