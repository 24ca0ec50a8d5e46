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
    if (onDenied && isRefusal(problem)) {
      const { name, id } = (response.locals.principal ?? anonymous) as Principal
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
