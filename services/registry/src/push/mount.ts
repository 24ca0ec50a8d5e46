import { type Digest, isRepositoryName } from '@berth/oci'
import { type Database, Problem } from '@berth/service'
import type { SeeAs } from '../access/rights.ts'
import type { NamedExchange } from '../exchange/exchange.ts'
import { isServedSomewhere } from '../model/lists.ts'
import type { Lookup } from '../model/lookup.ts'
import type { Pointer } from '../model/pointer.ts'
import type { Leases } from './store-blob.ts'

// The other way is an upload, which waits for nobody.
const patienceMs = 300

export type MountDeps = {
  leases: Leases
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
  const lease = await deps.leases.take(exchange, digest)
  if (lease.state !== 'present' || lease.sizeBytes === null) return false
  try {
    await deps.leases.link(exchange, { digest, generation: lease.generation, sizeBytes: lease.sizeBytes })
    return true
  } catch (error) {
    // Its bytes are going, or were stored anew meanwhile. What would refuse the upload too, such as a quota, is told at once.
    if (error instanceof Problem && error.code === 'stale_lease') return false
    throw error
  }
}

/**
 * Makes the check whether a blob may be mounted: it is served in `from`, or without `from` anywhere, and the caller may pull
 * there.
 */
export function createMountFinder({
  db,
  readPointer,
  lookup,
  seeAs,
}: {
  db: Database
  readPointer: (basePath: string) => Promise<Pointer | undefined>
  lookup: Lookup
  seeAs: SeeAs
}): MountDeps['findMount'] {
  return async ({ caller }, digest, from) => {
    if (from === undefined) return isServedSomewhere(db, digest, await seeAs(caller, patienceMs))
    if (!isRepositoryName(from)) return false
    const pointer = await readPointer(from)
    if (!pointer || !(pointer.isPublic || caller.isAdmin || caller.may(from, 'pull'))) return false
    return (await lookup.blob(pointer, digest)) !== undefined
  }
}
