import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import type { Contents } from './brought.ts'

/** Who says that an archive is what it is: nobody, somebody who is not known here, or the holder of a key that is. */
export type Trust = 'unsigned' | 'unknown_key' | 'trusted'

/** Whether the index of an archive is signed by one of the keys (ed25519 over its bytes as they lie there). */
export function trustOf({ signed }: Pick<Contents, 'signed'>, keys: readonly KeyObject[]): Trust {
  if (!signed?.signature) return 'unsigned'
  const { document, signature } = signed
  return keys.some((key) => verify(null, document, key, signature)) ? 'trusted' : 'unknown_key'
}

const pemBlock = /-----BEGIN PUBLIC KEY-----[^-]*-----END PUBLIC KEY-----/g

/** Reads public keys in PEM, one behind the other. `undefined`: there is something else among them. */
export function readTrustedKeys(text: string): KeyObject[] | undefined {
  const blocks = text.match(pemBlock) ?? []
  if (blocks.length === 0 || text.replaceAll(pemBlock, '').trim() !== '') return undefined
  const keys: KeyObject[] = []
  for (const block of blocks) {
    const key = readKey(block)
    if (key?.asymmetricKeyType !== 'ed25519') return undefined
    keys.push(key)
  }
  return keys
}

function readKey(pem: string): KeyObject | undefined {
  try {
    return createPublicKey(pem)
  } catch {
    // The setting says what is wanted; OpenSSL's reason says no more.
    return undefined
  }
}
