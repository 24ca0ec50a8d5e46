import { type EventSource, natsPublicKeyOf, natsRights, natsUsers } from '@berth/bus'
import {
  publicKeysOf,
  readServicePrivateKey,
  requireKnownKey,
  StartupError,
  servicePublicKeys,
  writePublicKeys,
} from '@berth/service'
import { makeFolder, readText, replaceFile, writeNew } from './files.ts'
import { keys, services } from './keys.ts'

/** The texts of a folder of secrets, by the names of their files. */
export type Secrets = ReadonlyMap<string, string>

const publicKeysName = 'service-public-keys'
export const natsUsersName = 'nats-users.conf'

/**
 * Makes the keys that a folder lacks, and answers all of them with the names of those that were made. What is there stays, except for
 * `nats-users.conf`, which is no secret: it follows from the seeds and from what this release lets each user do.
 * Throws `StartupError` for what cannot be used.
 */
export function fillSecrets(folder: string): { secrets: Secrets; made: string[] } {
  makeFolder(folder)
  const made: string[] = []
  const secrets = new Map<string, string>()
  const fill = (name: string, make: () => string) => {
    const found = readText(folder, name)
    if (found === undefined && writeNew(folder, name, make())) made.push(name)
    // Of two that fill the folder at once, one has written it.
    secrets.set(name, found ?? readText(folder, name) ?? '')
  }
  for (const [name, make] of keys) fill(name, make)
  fill(publicKeysName, () => writePublicKeys(publicKeysOf(serviceKeys(folder, secrets))))
  requireOwnKeys(folder, secrets)
  const users = `${usersOf(folder, secrets)}\n`
  replaceFile(folder, natsUsersName, users)
  secrets.set(natsUsersName, users)
  return { secrets, made }
}

function serviceKeys(folder: string, secrets: Secrets) {
  const pairs = services.map((service) => {
    const name = `service-key-${service}`
    return [service, sound(folder, name, readServicePrivateKey(secrets.get(name) ?? ''))] as const
  })
  return Object.fromEntries(pairs)
}

// The public keys may be more than those of the private ones here: while a key is changed, both are known.
function requireOwnKeys(folder: string, secrets: Secrets): void {
  const publicKeys = sound(folder, publicKeysName, readPublicKeys(secrets.get(publicKeysName) ?? ''))
  for (const [service, key] of Object.entries(serviceKeys(folder, secrets))) {
    try {
      requireKnownKey(service, key, publicKeys)
    } catch (cause) {
      throw new StartupError(
        `${folder}/${publicKeysName} does not have the key of service-key-${service}`,
        `restore service-key-${service}, or remove ${publicKeysName}: it is made of the private keys again`,
        { cause },
      )
    }
  }
}

function readPublicKeys(text: string) {
  try {
    return servicePublicKeys(publicKeysName, services).read(text)
  } catch {
    return undefined
  }
}

function usersOf(folder: string, secrets: Secrets): string {
  const publicKey = (user: string) => {
    const name = `nats-seed-${user}`
    return sound(folder, name, natsPublicKeyOf(secrets.get(name) ?? ''))
  }
  const publicKeys = Object.fromEntries(services.map((service) => [service, publicKey(service)]))
  return natsUsers(publicKeys as Record<EventSource, string>, publicKey('reader'))
}

/** What a Secret has beside `nats-users.conf`: the same under a name that tells what users may do, so that a pod can wait for its own. */
export const natsUsersOfRights: string = `nats-users-${natsRights}.conf`
export const isNatsUsersOfRights = (name: string): boolean => /^nats-users-[0-9a-f]{12}\.conf$/.test(name)

function sound<T>(folder: string, name: string, found: T | undefined): T {
  if (found !== undefined) return found
  throw new StartupError(
    `${folder}/${name} is not what its name says`,
    'restore it from a backup; where nothing needs it any more, remove it, and another one is made',
  )
}

/** Whether a text is made of the others each time. */
export const followsFromOthers = (name: string) => name === natsUsersName || isNatsUsersOfRights(name)

/** The names of all files of a folder of secrets. */
export const secretNames: readonly string[] = [...keys.keys(), publicKeysName, natsUsersName]
