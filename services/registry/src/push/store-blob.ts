import type { CatalogCommands, CommandClient, LeasedBlob, StoredBlob } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Actor } from '@berth/service'
import { LRUCache } from 'lru-cache'
import type { NamedExchange } from '../exchange/exchange.ts'
import { warn } from '../exchange/warning.ts'
import type { Follower } from '../model/follow.ts'

/** The holder of the leases of pushes to a repository. */
export function pushHolder(exchange: NamedExchange): string {
  return `push:${exchange.basePath}`
}

/** Leases of pushes. */
export type Leases = {
  /** Leases a digest, and says under which generation its bytes lie or are to be written. */
  take(exchange: NamedExchange, digest: Digest): Promise<LeasedBlob>
  /** Leases a digest that will probably be pushed next, so that its push need not wait for it. */
  takeAhead(exchange: NamedExchange, digest: Digest): void
  /** Leases a blob for the pushes to a name, if what is served there has it. `false`: it does not, or the blob is going. */
  keep(exchange: NamedExchange, digest: Digest): Promise<boolean>
  /** Links durable bytes to the repository, and ends once the registry serves them. */
  link(exchange: NamedExchange, blob: StoredBlob): Promise<void>
}

const longestAheadMs = 60_000
const mostAhead = 10_000

/** `leaseSeconds`: how long pushed bytes are kept for a manifest that is still to come (docs/guarantees.md, G2). */
export function createLeases(
  catalog: CommandClient<CatalogCommands>,
  follower: Follower,
  leaseSeconds: number,
): Leases {
  // What is answered from here is kept by catalog for as long again at least.
  const ttl = Math.min(longestAheadMs, leaseSeconds * 500)
  const ahead = new LRUCache<string, Promise<LeasedBlob>>({ max: mostAhead, ttl })
  const lease = async (exchange: NamedExchange, digest: Digest) => {
    const request = { holder: pushHolder(exchange), digests: [digest], ttlSeconds: leaseSeconds }
    const { blobs } = await catalog.call('lease-blobs', request, { requestId: exchange.requestId })
    const [leased] = blobs
    if (!leased) throw new Error(`catalog gave no lease for ${digest}`)
    return leased
  }
  const keyOf = (exchange: NamedExchange, digest: Digest) => `${pushHolder(exchange)} ${digest}`
  return {
    take: (exchange, digest) => {
      const key = keyOf(exchange, digest)
      const taken = ahead.get(key)
      ahead.delete(key)
      return taken?.catch(() => lease(exchange, digest)) ?? lease(exchange, digest)
    },
    takeAhead: (exchange, digest) => {
      const taking = lease(exchange, digest)
      // A request that needs it asks again.
      taking.catch(() => undefined)
      ahead.set(keyOf(exchange, digest), taking)
    },
    keep: async (exchange, digest) => {
      const { repository } = await pushTarget(exchange)
      const request = { repository, holder: pushHolder(exchange), digest, ttlSeconds: leaseSeconds }
      const { blob } = await catalog.call('keep-blob', request, { requestId: exchange.requestId })
      return blob !== null
    },
    link: async (exchange, blob) => {
      const target = await pushTarget(exchange)
      const request = { ...target, holder: pushHolder(exchange), ttlSeconds: leaseSeconds, blob }
      const { change, rows, warning } = await catalog.call('link-blob', request, { requestId: exchange.requestId })
      warn(exchange, warning)
      await follower.apply(change.repositoryId, rows)
    },
  }
}

/** The name that a push to a base path writes to; where nothing is served yet, the repository is made with it. */
export async function pushTarget({ basePath, served, caller }: NamedExchange): Promise<{
  repository: string
  mayCreate: boolean
  actor: Actor
  ownerId: string | null
}> {
  const pointer = await served()
  const { actor, ownerId } = caller
  return { repository: pointer?.repositoryName ?? basePath, mayCreate: pointer === undefined, actor, ownerId }
}
