import path from 'node:path'
import { makeFolder, replaceFile } from './files.ts'
import { services } from './keys.ts'
import type { Secrets } from './secrets-folder.ts'

const shared = ['service-public-keys', 'database-password', 'metrics-token']
const more: Readonly<Record<string, readonly string[]>> = {
  auth: ['secrets-key', 'admin-password'],
  sync: ['secrets-key'],
  tasks: ['secrets-key'],
}
// A folder has one reader, who may run as any user.
const readable = 0o444

/** What each reader is given of the secrets: the names of its files, with where they come from. */
export const shares: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  ...Object.fromEntries(
    services.map((service) => [
      service,
      {
        'service-key': `service-key-${service}`,
        'nats-seed': `nats-seed-${service}`,
        ...Object.fromEntries([...shared, ...(more[service] ?? [])].map((name) => [name, name])),
      },
    ]),
  ),
  postgres: { 'database-password': 'database-password' },
  nats: { 'nats-users.conf': 'nats-users.conf', 'nats-routes-password': 'nats-routes-password' },
}

/** Writes for each reader a folder of its own below `folder`, with what it needs and no more. */
export function writeShares(folder: string, secrets: Secrets): void {
  for (const [reader, files] of Object.entries(shares)) {
    const own = path.join(folder, reader)
    makeFolder(own, 0o755)
    for (const [name, source] of Object.entries(files)) replaceFile(own, name, secrets.get(source) as string, readable)
  }
}
