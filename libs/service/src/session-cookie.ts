import { createHmac, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { Problem } from './problem.ts'

const cookieName = 'berth_session'
// What is served under /v2 others have pushed: the cookie does not go there.
const cookiePath = '/api/v1'
const form = /^brs_[A-Za-z0-9_-]{43}$/
const reading = new Set(['GET', 'HEAD', 'OPTIONS'])

/** What has a browser keep the secret of a session, out of reach of scripts and of requests that other sites cause. */
export function sessionCookie(secret: string, origin: string): string {
  return cookie(secret, origin)
}

/** What has a browser forget it. */
export function clearedSessionCookie(origin: string): string {
  return `${cookie('', origin)}; Max-Age=0`
}

function cookie(value: string, origin: string): string {
  const secure = origin.startsWith('https:') ? '; Secure' : ''
  return `${cookieName}=${value}; Path=${cookiePath}; HttpOnly; SameSite=Strict${secure}`
}

/** The secret of a session that a browser sends; a request that says by a header who it is has none. */
export function sessionSecretIn({ headers }: Pick<IncomingMessage, 'headers'>): string | undefined {
  if (headers.authorization !== undefined) return undefined
  const found = (headers.cookie ?? '')
    .split(';')
    .map((one) => one.trim())
    .filter((one) => one.startsWith(`${cookieName}=`))
    .map((one) => one.slice(cookieName.length + 1))
  // Of several, one was set by somebody else: from a neighbouring host, or for another path.
  return found.length === 1 && form.test(found[0] ?? '') ? found[0] : undefined
}

/** What a page proves with that it may read what is answered to it; made from the secret, so that nothing need be stored. */
export function csrfTokenOf(secret: string): string {
  return createHmac('sha256', secret).update('berth csrf token').digest('base64url')
}

/**
 * The secret of the session of a request. Throws 403 for a change without the token that belongs to it: a browser sends the cookie by
 * itself, and the token only a page of ours.
 */
export function readSession(request: IncomingMessage): string | undefined {
  const secret = sessionSecretIn(request)
  if (secret === undefined || reading.has(request.method ?? '')) return secret
  const sent = request.headers['x-berth-csrf']
  if (typeof sent === 'string' && isSame(sent, csrfTokenOf(secret))) return secret
  throw new Problem(
    403,
    'csrf_token',
    `X-Berth-Csrf is ${sent === undefined ? 'missing' : 'not the token of this session'}.`,
    {
      hint: 'Send with each change the csrfToken that POST /api/v1/sessions and GET /api/v1/sessions/current answer.',
    },
  )
}

function isSame(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)]
  return left.length === right.length && timingSafeEqual(left, right)
}
