import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { StartupError } from '@berth/service'

const keyBytes = 32
const nonceBytes = 12
const tagBytes = 16

/** Reads BERTH_SECRETS_KEY: 32 bytes in base64 or hex. Throws `StartupError` for anything else. */
export function readSecretsKey(text: string): Buffer {
  const key = /^[0-9a-fA-F]{64}$/.test(text) ? Buffer.from(text, 'hex') : Buffer.from(text, 'base64')
  if (key.length === keyBytes) return key
  throw new StartupError(
    'BERTH_SECRETS_KEY is not 32 bytes in base64 or hex',
    'make one with `openssl rand -base64 32` and keep it: what is sealed with it cannot be opened by another',
  )
}

/** Encrypts with AES-256-GCM; `label` is bound to the result, so that one secret cannot be put in the place of another. */
export function seal(secretsKey: Buffer, label: string, plain: Buffer): Buffer {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', secretsKey, nonce).setAAD(Buffer.from(label))
  const sealed = Buffer.concat([cipher.update(plain), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed])
}

/** Opens what `seal` made. Throws when the key, the label or a byte is another. */
export function unseal(secretsKey: Buffer, label: string, sealed: Buffer): Buffer {
  const nonce = sealed.subarray(0, nonceBytes)
  const tag = sealed.subarray(nonceBytes, nonceBytes + tagBytes)
  const decipher = createDecipheriv('aes-256-gcm', secretsKey, nonce, { authTagLength: tagBytes })
    .setAAD(Buffer.from(label))
    .setAuthTag(tag)
  return Buffer.concat([decipher.update(sealed.subarray(nonceBytes + tagBytes)), decipher.final()])
}
