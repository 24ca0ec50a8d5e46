import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { StartupError } from '@berth/service'
import { writeDurably } from './children/durable-file.ts'

/** The keys of this installation: `serviceKey` signs calls between services, `secretsKey` seals stored credentials. */
export type Secrets = { serviceKey: string; secretsKey: string }

const fileName = 'secrets.json'
const keyBytes = 32

/** Reads the keys of a home, making them at the first start. The environment's own keys win over the file's. */
export function readSecrets(home: string, given: Partial<Secrets>): Secrets {
  const file = path.join(home, fileName)
  const stored = read(file) ?? make(file)
  return { serviceKey: given.serviceKey ?? stored.serviceKey, secretsKey: given.secretsKey ?? stored.secretsKey }
}

function read(file: string): Secrets | undefined {
  try {
    const { serviceKey, secretsKey } = JSON.parse(readFileSync(file, 'utf8')) as Partial<Secrets>
    if (typeof serviceKey === 'string' && typeof secretsKey === 'string') return { serviceKey, secretsKey }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw damaged(file, cause)
  }
  throw damaged(file)
}

function damaged(file: string, cause?: unknown): StartupError {
  return new StartupError(
    `${file} cannot be read as the keys of this installation`,
    'restore it from a backup: without it stored credentials cannot be opened',
    { cause },
  )
}

function make(file: string): Secrets {
  const secrets = {
    serviceKey: randomBytes(keyBytes).toString('base64'),
    secretsKey: randomBytes(keyBytes).toString('base64'),
  }
  writeDurably(file, JSON.stringify(secrets))
  return secrets
}
