import type { IncomingMessage } from 'node:http'
import type { Sealer } from '@berth/service'

/** What Berth has to know again when somebody comes back from a provider. */
export type LoginState = {
  providerId: string
  redirectUri: string
  state: string
  nonce: string
  verifier: string
  /** Where to go in the end: a path of ours. */
  returnTo: string
  endsAt: number
}

const cookieName = 'berth_oidc'
const cookiePath = '/api/v1/oidc'
export const loginSeconds = 600
const context = 'oidc login'

/**
 * Keeps the state of a login in the browser that began it, sealed: who comes back in another one, because somebody sent it there, has none,
 * and no replica need have begun what it ends. `Lax`, as it has to come along when the provider sends the browser back.
 */
export function stateCookie(state: LoginState, sealer: Sealer, origin: string): string {
  const sealed = sealer.seal(JSON.stringify(state), context).toString('base64url')
  return `${cookieName}=${sealed}; Max-Age=${loginSeconds}${attributes(origin)}`
}

export function clearedStateCookie(origin: string): string {
  return `${cookieName}=; Max-Age=0${attributes(origin)}`
}

function attributes(origin: string): string {
  return `; Path=${cookiePath}; HttpOnly; SameSite=Lax${origin.startsWith('https:') ? '; Secure' : ''}`
}

/** The login that the browser of a request has begun; `undefined` when it has none, or that was too long ago. */
export function readState({ headers }: Pick<IncomingMessage, 'headers'>, sealer: Sealer): LoginState | undefined {
  const sent = (headers.cookie ?? '').split(';').map((one) => one.trim())
  const [sealed, ...more] = sent.filter((one) => one.startsWith(`${cookieName}=`))
  if (sealed === undefined || more.length > 0) return undefined
  try {
    const text = sealer.open(Buffer.from(sealed.slice(cookieName.length + 1), 'base64url'), context)
    const state = JSON.parse(text) as LoginState
    return state.endsAt > Date.now() ? state : undefined
  } catch {
    // Sealed by nobody who has our key: as good as none.
    return undefined
  }
}

const longestPath = 500

/** Where a login may lead: a path of ours, so that no link to Berth leads elsewhere. */
export function isOwnPath(path: string): boolean {
  // A browser takes a backslash for a slash, and leaves out tabs and line breaks.
  return path.length <= longestPath && /^\/(?![/\\])[\x21-\x7e]*$/.test(path) && !path.includes('\\')
}
