import type { KeyObject } from 'node:crypto'
import { makeServicePrivateKey, publicKeysOf, readServicePrivateKey, writePublicKeys } from '../service-keys.ts'

const names = ['auth', 'build', 'catalog', 'registry', 'sync', 'tasks', 'test', 'asker'] as const
type Name = (typeof names)[number]

const texts = Object.fromEntries(names.map((name) => [name, makeServicePrivateKey()])) as Record<Name, string>
const privateKeys = Object.fromEntries(names.map((name) => [name, readServicePrivateKey(texts[name])])) as Record<
  Name,
  KeyObject
>

/** The keys by which the services of a test know each other, and callers that are no services. */
export const publicKeys = publicKeysOf(privateKeys)

/** The key that a service of a test signs its calls with. */
export function privateKeyOf(name: string): KeyObject {
  const key = privateKeys[name as Name]
  if (!key) throw new Error(`there is no service ${name} in tests`)
  return key
}

/** The keys of a service of a test as its settings. */
export function keysOf(name: string): { servicePrivateKey: KeyObject; servicePublicKeys: typeof publicKeys } {
  return { servicePrivateKey: privateKeyOf(name), servicePublicKeys: publicKeys }
}

/** The keys of a service of a test as its environment. */
export function keyEnvironmentOf(name: string): Record<string, string> {
  const { test: _test, asker: _asker, ...services } = privateKeys
  return {
    BERTH_SERVICE_PRIVATE_KEY: texts[name as Name],
    BERTH_SERVICE_PUBLIC_KEYS: writePublicKeys(publicKeysOf(services)),
  }
}
