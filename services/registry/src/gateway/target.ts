import { OciError } from '@berth/oci'
import type { Database } from '@berth/service'
import type { Follower } from '../model/follow.ts'
import type { Pointer } from '../model/pointer.ts'
import type { PullThrough } from '../model/pull-through.ts'
import { nameUnder } from '../pull-through/namespace.ts'

/** The name that a request is about. `namespace`: the registry that it named, where a distribution stands for that one. */
export type Target = { basePath: string; namespace?: string }

/** Finds the name here of what a request names; one that reads from another registry means what comes from there (protocol.md §2). */
export async function targetOf(
  db: Database,
  name: string,
  { namespace, isWrite }: { namespace: string | null; isWrite: boolean },
): Promise<Target> {
  if (!namespace || isWrite) return { basePath: name }
  const basePath = await nameUnder(db, namespace, name)
  return basePath === undefined ? { basePath: name } : { basePath, namespace }
}

/**
 * What is served, unless the name cannot be used now: while the model is built, or to write through a pinned version or
 * among what comes from a host.
 */
export async function checkServed(
  follower: Follower,
  basePath: string,
  read: { pointer: () => Promise<Pointer | undefined>; host: () => Promise<PullThrough | undefined> },
  isWrite: boolean,
): Promise<Pointer | undefined> {
  const pointer = await read.pointer()
  if (!pointer && !follower.isComplete(basePath)) {
    throw new OciError('UNAVAILABLE', 'the registry is still learning what is served; try again', {
      headers: { 'retry-after': '2' },
    })
  }
  if (!isWrite) return pointer
  if (typeof pointer?.pinned === 'number') {
    throw new OciError(
      'UNSUPPORTED',
      `${basePath} serves version ${pointer.pinned} and takes no changes; push to a distribution that follows the latest`,
    )
  }
  const via = pointer ? pointer.pullThrough : await read.host()
  if (!via) return pointer
  throw new OciError(
    'UNSUPPORTED',
    `${basePath} is what ${via.host} has, and takes no changes; push to a name that is not below ${via.basePath}`,
  )
}
