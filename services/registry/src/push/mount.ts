import { type Digest, isRepositoryName } from '@berth/oci'
import { type Database, isPassing } from '@berth/service'
import type { SeeAs } from '../access/rights.ts'
import type { NamedExchange } from '../exchange/exchange.ts'
import { isOneServed, isServedSomewhere } from '../model/lists.ts'
import type { Lookup } from '../model/lookup.ts'
import type { Pointer } from '../model/pointer.ts'
import type { PushedBlobs } from './pushed-blobs.ts'

// The other way is an upload, which waits for nobody.
const patienceMs = 300

export type MountDeps = {
  pushed: PushedBlobs
  /** Whether the blob is served in `from` and the caller may pull there. */
  findMount: (exchange: NamedExchange, digest: Digest, from: string | undefined) => Promise<boolean>
}

/**
 * Links a blob of another repository instead of uploading it again. Only out of a repository that the caller may pull; for
 * any other the answer is the same as for a missing blob, an ordinary upload, so that nothing is given away
 * (distribution-spec, "Mounting a blob from another repository"; docs/guarantees.md#mounts). Answers whether it did.
 */
export async function mountBlob(
  exchange: NamedExchange,
  digest: Digest,
  from: string | undefined,
  deps: MountDeps,
): Promise<boolean> {
  if (!(await deps.findMount(exchange, digest, from))) return false
  // What would refuse the upload too, such as a quota, is told at once.
  return (await deps.pushed.linkPresent(exchange, digest)) !== undefined
}

/**
 * Makes the check whether a blob may be mounted: it is in `from`, or without `from` anywhere, and the caller may pull there. What
 * pushes have linked and no manifest names catalog alone knows; while it does not answer, that is not found.
 */
export function createMountFinder({
  db,
  readPointer,
  lookup,
  pushed,
  seeAs,
}: {
  db: Database
  readPointer: (basePath: string) => Promise<Pointer | undefined>
  lookup: Lookup
  pushed: PushedBlobs
  seeAs: SeeAs
}): MountDeps['findMount'] {
  const isLinked = (asking: Promise<boolean>) =>
    asking.catch((error: unknown) => {
      if (isPassing(error)) return false
      throw error
    })
  return async (exchange, digest, from) => {
    const { caller } = exchange
    if (from === undefined) {
      const sight = await seeAs(caller, patienceMs)
      if (await isServedSomewhere(db, digest, sight)) return true
      return isLinked(pushed.listLinking(exchange, digest).then((ids) => isOneServed(db, ids, sight)))
    }
    if (!isRepositoryName(from)) return false
    const pointer = await readPointer(from)
    if (!pointer || !(pointer.isPublic || caller.isAdmin || caller.may(from, 'pull'))) return false
    if (await lookup.blob(pointer, digest)) return true
    if (pointer.pinned !== null) return false
    return isLinked(pushed.find(exchange, pointer.repositoryName, digest).then((blob) => blob !== undefined))
  }
}
