import { createPrivateKey, type KeyObject } from 'node:crypto'
import { parsed, type Setting } from '@berth/service'

/** The key that exports are signed with, an ed25519 one in PEM; absent: they are not signed. */
export function exportSigningKey(env: string): Setting<KeyObject | undefined> {
  return parsed<KeyObject | undefined>(
    env,
    'a private key in PEM, as openssl genpkey -algorithm ed25519 makes it',
    read,
    {
      fallback: undefined,
      secret: true,
    },
  )
}

function read(text: string): KeyObject | undefined {
  try {
    const key = createPrivateKey(text)
    return key.asymmetricKeyType === 'ed25519' ? key : undefined
  } catch {
    return undefined
  }
}
