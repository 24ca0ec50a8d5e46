import type { CatalogCommands, CommandClient } from '@berth/commands'
import { type Digest, isRepositoryName } from '@berth/oci'
import type { NamedExchange } from '../gateway/exchange.ts'
import type { Follower } from '../model/follow.ts'
import type { Lookup, ServedBlob } from '../model/lookup.ts'
import type { Pointer } from '../model/pointer.ts'
import { leaseBlob, linkBlob } from './store-blob.ts'

export type MountParts = {
  catalog: CommandClient<CatalogCommands>
  follower: Follower
  /** Whether the blob is served in `from` and the caller may pull there. */
  findMount: (exchange: NamedExchange, digest: Digest, from: string | undefined) => Promise<boolean>
}

/**
 * Links a blob of another repository instead of uploading it again. Only out of a repository that the caller may pull; for
 * any other the answer is the same as for a missing blob, an ordinary upload, so that nothing is given away
 * (distribution-spec, "Mounting a blob from another repository"; reliability.md §3.2). Answers whether it did.
 */
export async function mountBlob(
  exchange: NamedExchange,
  digest: Digest,
  from: string | undefined,
  parts: MountParts,
): Promise<boolean> {
  if (!(await parts.findMount(exchange, digest, from))) return false
  const lease = await leaseBlob(parts.catalog, exchange, digest)
  if (lease.state !== 'present' || lease.sizeBytes === null) return false
  await linkBlob(exchange, { digest, generation: lease.generation, sizeBytes: lease.sizeBytes }, parts)
  return true
}

/** Makes the check whether a blob may be mounted: it is served in `from`, and the caller may pull there. */
export function createMountFinder(
  readPointer: (basePath: string) => Promise<Pointer | undefined>,
  lookup: Lookup,
): MountParts['findMount'] {
  const servedIn = async (
    exchange: NamedExchange,
    basePath: string,
    digest: Digest,
  ): Promise<ServedBlob | undefined> => {
    if (!isRepositoryName(basePath)) return undefined
    const pointer = await readPointer(basePath)
    if (!pointer || !(pointer.isPublic || exchange.caller.may(basePath, 'pull'))) return undefined
    return lookup.blob(pointer, digest)
  }
  return async (exchange, digest, from) => {
    // Without `from` only this very repository is searched.
    return (await servedIn(exchange, from ?? exchange.basePath, digest)) !== undefined
  }
}
