import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Route } from '@berth/oci'
import type { Database, Logger } from '@berth/service'
import { loginIn } from '@berth/tokens'
import type { Caller } from '../access/authorize.ts'
import type { Follower } from '../model/follow.ts'
import type { Pointer } from '../model/pointer.ts'
import { mirrorOfRootFor } from '../model/pull-through.ts'
import { toOciError } from './error-response.ts'
import { isPublic, type Naming, type Place, placeOf } from './target.ts'

type Deps = {
  db: Database
  readPointer: (basePath: string) => Promise<Pointer | undefined>
  follower: Pick<Follower, 'isComplete'>
  log: Logger
}
/** A request that reads, and who sent it. */
type Reading = {
  request: Pick<IncomingMessage, 'method' | 'headers'>
  response: Pick<ServerResponse, 'headersSent'>
  signal: AbortSignal
  requestId: string
  kind: Route['kind']
  naming: Naming
  caller: Caller
}

/**
 * Answers from the mirror of the root what nothing here has (docs/decisions/0038). False where there is nothing to answer from: then
 * the caller is told what it would be told if there were no mirror, so that a name that is private here and one that is nowhere
 * answer alike.
 */
export async function answerAtRoot(
  deps: Deps,
  reading: Reading,
  plain: Place,
  answer: (place: Place) => Promise<void>,
): Promise<boolean> {
  const place = await placeAtRoot(deps, reading, plain)
  if (!place || !(await isPublic(place))) return false
  const isHere = (await place.pointer()) !== undefined
  // A name comes with its first manifest; before that nothing is known of it, not even that nothing refers to it.
  if (!isHere && reading.kind !== 'manifest') return false
  try {
    await answer(place)
    return true
  } catch (error) {
    if (isHere || reading.response.headersSent || reading.signal.aborted) throw error
    const { status, code, message: reason } = toOciError(error)
    if (status === 404) return false
    const name = reading.naming.repository
    // To others it would say that no such name is private here.
    if (reading.caller.may(name, 'pull')) throw error
    deps.log.warn('the mirror of the root gives nothing', { name, code, reason, requestId: reading.requestId })
    return false
  }
}

async function placeAtRoot(deps: Deps, reading: Reading, plain: Place): Promise<Place | undefined> {
  const { caller, naming } = reading
  // Who names a registry means that one.
  if (naming.namespace || mayComeBeforePush(reading)) return undefined
  const pointer = await plain.pointer()
  if (pointer && caller.may(plain.basePath, 'pull')) return undefined
  if (await isPublic(plain)) return undefined
  // Asked for what is private too, so that a refusal takes as many queries.
  const basePath = await mirrorOfRootFor(deps.db, plain.basePath)
  if (pointer || (await plain.pullThrough()) || basePath === undefined) return undefined
  // While the model is built, what is not in it may be here all the same.
  return deps.follower.isComplete(plain.basePath) ? placeOf(deps, `${basePath}/${plain.basePath}`) : undefined
}

/**
 * Who may push asks what the push still has to bring, and reads back what it brought. containerd asks for blobs without a token before it
 * pushes them, and gets one when it is told to; then we know.
 */
function mayComeBeforePush({ request, kind, naming, caller }: Reading): boolean {
  // Its right to push is known where it reads a blob, too, and is no sign of a push there.
  const isRead = kind === 'blob' && request.method === 'GET'
  if (caller.may(naming.repository, 'push')) return !isRead
  return kind === 'blob' && request.method === 'HEAD' && loginIn(request.headers.authorization) === undefined
}
