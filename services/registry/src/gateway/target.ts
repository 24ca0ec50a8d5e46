import type { IncomingMessage } from 'node:http'
import { OciError } from '@berth/oci'
import type { Database } from '@berth/service'
import type { Action, Caller, Gatekeeper } from '../access/authorize.ts'
import type { Follower } from '../model/follow.ts'
import type { Pointer } from '../model/pointer.ts'
import { type PullThrough, pullThroughFor } from '../model/pull-through.ts'
import { nameUnder } from '../pull-through/namespace.ts'

/** What is known of a name, each read once when it is first wanted. */
export type Place = {
  basePath: string
  pointer: () => Promise<Pointer | undefined>
  pullThrough: () => Promise<PullThrough | undefined>
}
/** The place that a request is about. `namespace`: the registry that it named, where a distribution stands for that one. */
export type Target = { place: Place; namespace?: string }

export type Naming = { repository: string; namespace: string | null; isWrite: boolean }
export type Reading = { db: Database; readPointer: (basePath: string) => Promise<Pointer | undefined> }

/**
 * The names that a request may be about, the most wanted first; one that reads from another registry means what comes from
 * there (docs/protocol.md#names).
 */
export async function namesOf(db: Database, { repository, namespace, isWrite }: Naming): Promise<string[]> {
  if (!namespace || isWrite) return [repository]
  // Also where no distribution stands for that registry there are two, so that the answer takes as long.
  return [(await nameUnder(db, namespace, repository)) ?? repository, repository]
}

/**
 * Chooses the place that a request is about, and lets the caller in or throws. A distribution from which the caller may not pull
 * is as if there were none: it is neither named in a challenge, nor does it stand before what the plain name has. `plain` is the place
 * of the name as it was sent.
 */
export async function enter(
  reading: Reading,
  gatekeeper: Gatekeeper,
  { request, caller, actions }: { request: IncomingMessage; caller: Caller; actions: readonly Action[] },
  { names, naming, plain }: { names: readonly string[]; naming: Naming; plain: Place },
): Promise<Target> {
  const [first = naming.repository, ...others] = names
  if (others.length > 0) {
    const place = placeOf(reading, first)
    const { namespace } = naming
    if ((await isOpen(place, caller, actions)) || mayByItsNameThere(caller, naming, actions))
      return first === naming.repository || namespace === null ? { place } : { place, namespace }
  }
  // What is public may be pulled without a right, so only for a caller without one it has to be known what is served.
  const mayAnyway = actions.every((action) => caller.may(plain.basePath, action))
  const served = mayAnyway ? undefined : { isPublic: await isPublic(plain) }
  gatekeeper.require(request, caller, plain.basePath, actions, served)
  return { place: plain }
}

export function placeOf({ db, readPointer }: Reading, basePath: string): Place {
  return { basePath, pointer: once(() => readPointer(basePath)), pullThrough: once(() => pullThroughFor(db, basePath)) }
}

async function isOpen(place: Place, caller: Caller, actions: readonly Action[]): Promise<boolean> {
  if (actions.every((action) => caller.may(place.basePath, action))) return true
  return actions.every((action) => action === 'pull') && (await isPublic(place))
}

/**
 * Whether every client may pull there. What is private costs the same two queries as what is missing, where something might
 * come from a host: who measures the time of a refusal learns nothing.
 */
export async function isPublic({ pointer, pullThrough }: Place): Promise<boolean> {
  const served = await pointer()
  if (served?.isPublic) return true
  const from = await pullThrough()
  return served === undefined && from?.isPublic === true
}

// Clients ask for tokens by the name that an image has there, which is all they know; who may do everything may do it here too.
function mayByItsNameThere(caller: Caller, { repository }: Naming, actions: readonly Action[]): boolean {
  return caller.isAdmin && actions.every((action) => caller.may(repository, action))
}

/** Starts work at the first call; every call waits for it. A caller that begins it ahead and then fails needs no result of it. */
export function once<T>(work: () => Promise<T>): () => Promise<T> {
  let begun: Promise<T> | undefined
  return () => {
    if (!begun) {
      begun = work()
      begun.catch(() => undefined)
    }
    return begun
  }
}

/**
 * What is served, unless the name cannot be used now: while the model is built, or to write through a pinned version or
 * among what comes from a host.
 */
export async function checkServed(
  follower: Follower,
  basePath: string,
  read: { pointer: () => Promise<Pointer | undefined>; pullThrough: () => Promise<PullThrough | undefined> },
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
  const pullThrough = pointer ? pointer.pullThrough : await read.pullThrough()
  if (!pullThrough) return pointer
  throw new OciError(
    'UNSUPPORTED',
    `${basePath} is what ${pullThrough.host} has, and takes no changes; push to a name that is not below ${pullThrough.basePath}`,
  )
}
