import type { KeyObject } from 'node:crypto'
import { publicKeysOf, readServicePrivateKey, type ServicePublicKeys } from '@berth/service'
import type { ServiceName } from './routes.ts'
import type { Secrets } from './secrets.ts'

/** The keys of the services, read. */
export type ServiceKeys = { privateKeyOf: (name: ServiceName) => KeyObject; publicKeys: ServicePublicKeys }

/** Reads the private keys of the services, and makes their public ones. */
export function readServiceKeys({ serviceKeys }: Secrets): ServiceKeys {
  const privateKeys = Object.fromEntries(
    Object.entries(serviceKeys).map(([name, text]) => [name, readServicePrivateKey(text)]),
  ) as Record<ServiceName, KeyObject>
  return { privateKeyOf: (name) => privateKeys[name], publicKeys: publicKeysOf(privateKeys) }
}
