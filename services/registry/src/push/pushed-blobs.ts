import type { BlobStore } from '@berth/blobs'
import type { CatalogCommands, CommandClient, StoredBlob } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { type Actor, isPassing, Problem } from '@berth/service'
import { type NamedExchange, unknownName } from '../exchange/exchange.ts'
import { warn } from '../exchange/warning.ts'
import type { Follower } from '../model/follow.ts'
import type { Pointer } from '../model/pointer.ts'

/** What catalog knows of blobs that are pushed and that no manifest has named yet; the read model knows nothing of them. */
export type PushedBlobs = {
  /** Ends a push: durable bytes are linked to the repository, where manifests may name them, and can be read there. */
  end(exchange: NamedExchange, blob: StoredBlob): Promise<void>
  /**
   * Links what the store has already, for a caller that has proven to have the bytes, or may read them elsewhere. `undefined`: it has no
   * such blob, and nothing was changed.
   */
  linkPresent(exchange: NamedExchange, digest: Digest): Promise<StoredBlob | undefined>
  /**
   * Where the store has a blob, in whatever repository, which then stays for as long as a push may take. This gives no right to read or
   * name it. `undefined`: it has none, or that is not known now.
   */
  leasePresent(exchange: NamedExchange, digest: Digest): Promise<StoredBlob | undefined>
  /**
   * Keeps a blob of the repository for its pushes, which may name it from now on whatever becomes of it there. `undefined`: the
   * repository does not have it, or the blob is going.
   */
  keep(exchange: NamedExchange, pointer: Pointer, digest: Digest): Promise<StoredBlob | undefined>
  /** A blob that is linked to a repository; `undefined` when none is. Catalog is asked each time. */
  find(exchange: NamedExchange, repository: string, digest: Digest): Promise<StoredBlob | undefined>
  /** The repositories to which a blob is linked. */
  listLinking(exchange: NamedExchange, digest: Digest): Promise<string[]>
  /** Has what counts stay and ours go, when bytes were written under a generation that does not count. */
  giveWay(own: StoredBlob, counting: StoredBlob | undefined): Promise<void>
}

// What asks has memory that others wait for, and can do without the answer.
const askMs = 1_000

/** `keepSeconds`: how long pushed bytes are kept for a manifest that is still to come (docs/guarantees.md, G2). */
export function createPushedBlobs({
  catalog,
  follower,
  blobs,
  keepSeconds,
}: {
  catalog: CommandClient<CatalogCommands>
  follower: Follower
  blobs: BlobStore
  keepSeconds: number
}): PushedBlobs {
  const push = async (
    exchange: NamedExchange,
    blob: Omit<StoredBlob, 'generation'> & { generation: number | null },
  ): Promise<StoredBlob | undefined> => {
    const { requestId } = exchange
    const to = (pointer: Pointer | undefined) => {
      const request = {
        ...targetOf(exchange, pointer),
        ...blob,
        repositoryId: pointer?.repositoryId ?? null,
        keepSeconds,
      }
      return catalog.call('push-blob', request, { requestId })
    }
    let reply = await to(await exchange.servedLately())
    // It was deleted since; the name may have been taken again.
    if (reply.isGone) reply = await to(await exchange.served())
    if (reply.isGone) throw unknownName(exchange)
    warn(exchange, reply.warning)
    if (reply.made) await follower.apply(reply.made.repositoryId, reply.made.rows)
    return reply.blob ?? undefined
  }
  const giveWay: PushedBlobs['giveWay'] = async (own, counting) => {
    if (!counting || counting.generation === own.generation) return
    // What another installation put there with the same numbers is not ours to take away.
    const { mayDelete } = await catalog.call('check-may-delete', {})
    if (mayDelete) await blobs.giveWay(own, counting)
  }
  return {
    end: async (exchange, own) => giveWay(own, await push(exchange, own)),
    linkPresent: (exchange, digest) => push(exchange, { digest, generation: null, sizeBytes: 0 }),
    leasePresent: async ({ basePath, requestId, signal }, digest) => {
      const request = { holder: `compare:${basePath}`, digest, ttlSeconds: keepSeconds }
      try {
        const asked = { requestId, signal, timeoutMs: askMs }
        return (await catalog.call('lease-present', request, asked)).blob ?? undefined
      } catch (error) {
        // It only saves work, and the end of the push tells of what is wrong with catalog. One of the release before does not know it.
        if (isPassing(error) || (error instanceof Problem && error.code === 'no_such_command')) return undefined
        throw error
      }
    },
    keep: async (exchange, { repositoryName: repository, repositoryId }, digest) => {
      const holder = pushHolder(exchange)
      const request = { repository, repositoryId, holder, digest, ttlSeconds: keepSeconds }
      const { blob } = await catalog.call('keep-blob', request, { requestId: exchange.requestId })
      return blob ?? undefined
    },
    find: async ({ requestId }, repository, digest) => {
      const { blob } = await catalog.call('find-link', { repository, digest }, { requestId })
      return blob ?? undefined
    },
    listLinking: async ({ requestId }, digest) =>
      (await catalog.call('list-linking', { digest }, { requestId })).repositoryIds,
    giveWay,
  }
}

/** The holder of the leases of pushes to a repository. */
export function pushHolder(exchange: NamedExchange): string {
  return `push:${exchange.basePath}`
}

type Target = { repository: string; mayCreate: boolean; actor: Actor; ownerId: string | null }

/** The name that a push to a base path writes to; where nothing is served yet, the repository is made with it. */
export async function pushTarget(exchange: NamedExchange): Promise<Target> {
  return targetOf(exchange, await exchange.served())
}

function targetOf({ basePath, caller: { actor, ownerId } }: NamedExchange, pointer: Pointer | undefined): Target {
  return { repository: pointer?.repositoryName ?? basePath, mayCreate: pointer === undefined, actor, ownerId }
}
