import type { IncomingMessage } from 'node:http'
import type { OciError } from '@berth/oci'
import { clientAddress, type Denial, Problem } from '@berth/service'
import { loginIn } from '@berth/tokens'
import type { Action, Caller } from '../access/authorize.ts'

/** Who asks for what, once that is known. */
export type Asked = { caller: Caller; repository: string; actions: readonly Action[] }
type Failed = { request: IncomingMessage; requestId: string; failure: OciError }

/**
 * Tells of a request that was refused by who asks. One without credentials is how clients ask where to log in: that it is refused says
 * nothing. A quota is for everybody.
 */
export function countDenied(
  denied: (denial: Denial) => void,
  { request, requestId, failure }: Failed,
  { caller, repository, actions }: Asked,
): void {
  const isDenied = failure.status === 401 || failure.status === 403
  const isOfQuota = failure.cause instanceof Problem && failure.cause.code === 'quota_exceeded'
  if (!isDenied || isOfQuota || loginIn(request.headers.authorization) === undefined) return
  denied({
    result: 'denied',
    action: `v2.${actions.at(-1)}`,
    actor: caller.actor,
    object: { kind: 'repository', id: null, name: repository },
    detail: null,
    address: clientAddress(request),
    requestId,
  })
}
