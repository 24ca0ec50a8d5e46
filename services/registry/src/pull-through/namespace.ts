import type { Database } from '@berth/service'
import { pullThroughFrom } from '../model/pull-through.ts'

const dockerHub = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io'])

/** The name of a registry as remotes have it: Docker Hub has three, and 443 needs no saying. */
function hostOfNamespace(namespace: string): string {
  const host = namespace.toLowerCase().replace(/:443$/, '')
  return dockerHub.has(host) ? 'registry-1.docker.io' : host
}

/**
 * The name here of what a client wants from another registry, which containerd says by `?ns=`. `undefined` where no
 * distribution stands for that registry: then the name means what it means without.
 */
export async function nameUnder(db: Database, namespace: string, name: string): Promise<string | undefined> {
  const host = hostOfNamespace(namespace)
  const found = await pullThroughFrom(db, host)
  if (!found) return undefined
  const full = host === 'registry-1.docker.io' && !name.includes('/') ? `library/${name}` : name
  return `${found.basePath}/${full}`
}
