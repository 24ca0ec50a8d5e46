import { type Identify, type InternalClient, type Principal, Problem } from '@berth/service'
import { loginIn } from './authorization.ts'

/**
 * Asks the auth service who sends these credentials; a caller without any is `undefined`. Nothing is remembered, so that a
 * revoked account is out at once.
 */
export function identifyThrough(auth: InternalClient): Identify {
  return async (header, { ip, requestId, session }) => {
    const authorization = loginIn(header)
    if (authorization === undefined && session === undefined) return undefined
    const { principal } = await auth.call<{ principal: Principal | null }>(
      'identify',
      { authorization, session, ip },
      { requestId },
    )
    if (principal) return principal
    // It has ended, and its cookie is of no more use than none.
    if (authorization === undefined) return undefined
    throw new Problem(401, 'bad_credentials', 'These credentials are not right, or have expired.', {
      hint: 'Check the user name and the password, or ask for a new token.',
      headers: { 'www-authenticate': 'Basic realm="berth"' },
    })
  }
}
