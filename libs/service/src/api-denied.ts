import type { ErrorRequestHandler } from 'express'
import { isRefusal } from './api-access.ts'
import { toProblem } from './api-problem.ts'
import { type AuditSubject, detailOf, sentObject } from './audit-subject.ts'
import { clientAddress } from './client-address.ts'
import type { Denial } from './denials.ts'
import { anonymous, type Principal } from './principal.ts'

/** What a refused request was about, as far as it was read. */
type About = {
  action: string
  subject?: AuditSubject | undefined
  sent?: { params: Record<string, string>; query: Record<string, unknown>; body: unknown }
}

/** Tells of every request that is refused by who asks. */
export function countDenied(onDenied: ((denial: Denial) => void) | undefined): ErrorRequestHandler {
  return (error: unknown, request, response, next) => {
    const problem = toProblem(error)
    const { action, subject, sent } = (response.locals.about ?? { action: 'others' }) as About
    const { name, id, admin } = (response.locals.principal ?? anonymous) as Principal
    // To an administrator nothing is hidden: what it does not see is not there.
    if (onDenied && isRefusal(problem) && !(admin && problem.status === 404)) {
      onDenied({
        result: 'denied',
        action,
        actor: { id: id || null, name: name || 'anonymous' },
        object: subject ? sentObject(subject, sent ?? {}) : { kind: 'others', id: null, name: null },
        detail: subject && sent ? detailOf(subject, sent.params) : null,
        address: clientAddress(request),
        requestId: response.locals.requestId as string,
      })
    }
    next(error)
  }
}
