import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { makeServicePrivateKey, readServicePrivateKey, StartupError } from '@berth/service'
import { writeDurably } from './children/durable-file.ts'
import { type ServiceName, serviceNames } from './routes.ts'

/**
 * The keys of this installation: `secretsKey` seals stored credentials, and with the one of `serviceKeys` that is its own each service
 * signs its calls of the others.
 */
export type Secrets = { secretsKey: string; serviceKeys: Record<ServiceName, string> }

const fileName = 'secrets.json'
const keyBytes = 32

/** Reads the keys of a home, making those that it lacks. The environment's own key wins over the file's. */
export function readSecrets(home: string, given: Partial<Pick<Secrets, 'secretsKey'>>): Secrets {
  const file = path.join(home, fileName)
  const stored = read(file)
  const secrets = {
    secretsKey: stored?.secretsKey ?? randomBytes(keyBytes).toString('base64'),
    serviceKeys: stored?.serviceKeys ?? makeServiceKeys(),
  }
  if (!stored?.serviceKeys) writeDurably(file, JSON.stringify(secrets))
  return { ...secrets, ...given }
}

/** A home from before each service had a key of its own has none of these. */
function read(file: string): { secretsKey: string; serviceKeys: Secrets['serviceKeys'] | undefined } | undefined {
  let found: Partial<Secrets> | null
  try {
    found = JSON.parse(readFileSync(file, 'utf8')) as Partial<Secrets> | null
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw damaged(file, cause)
  }
  const { secretsKey, serviceKeys } = found ?? {}
  if (typeof secretsKey !== 'string' || (serviceKeys !== undefined && !areServiceKeys(serviceKeys))) throw damaged(file)
  return { secretsKey, serviceKeys }
}

function areServiceKeys(keys: Partial<Secrets['serviceKeys']>): boolean {
  return serviceNames.every((name) => readServicePrivateKey(keys[name] ?? '') !== undefined)
}

function makeServiceKeys(): Secrets['serviceKeys'] {
  return Object.fromEntries(serviceNames.map((name) => [name, makeServicePrivateKey()])) as Secrets['serviceKeys']
}

function damaged(file: string, cause?: unknown): StartupError {
  return new StartupError(
    `${file} cannot be read as the keys of this installation`,
    'restore it from a backup: without it stored credentials cannot be opened',
    { cause },
  )
}
