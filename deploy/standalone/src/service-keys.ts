import { hash, type KeyObject } from 'node:crypto'
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

/** A name of the home that no other has, for what it leaves on a disk that others may share: made of keys that only it has. */
export function homeIdOf({ serviceKeys }: Pick<Secrets, 'serviceKeys'>): string {
  return hash('sha256', serviceKeys.registry, 'hex').slice(0, 16)
}
