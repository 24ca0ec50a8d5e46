import type { Credentials } from '../egress/credentials.ts'
import { UpstreamError } from '../egress/upstream-error.ts'
import type { ParsedChallenge } from './challenge.ts'
import { checkRealm } from './realm.ts'

type Own = {
  origin: URL
  credentials: Exclude<Credentials, { token: string }> | undefined
  tokenHosts: readonly string[]
}

/**
 * The challenges of one answer that can be met with what there is, the strongest first, whatever their order (RFC 9110 §11.6.1): a
 * token for a scope before the login itself. Throws `UpstreamError` with what is in the way where there is none.
 */
export function chooseChallenges(challenges: readonly ParsedChallenge[], own: Own): ParsedChallenge[] {
  let obstacle: UpstreamError | undefined
  const chosen = [...ofScheme(challenges, 'bearer'), ...ofScheme(challenges, 'basic')].filter((challenge) => {
    try {
      checkChallenge(challenge, own)
      return true
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      // Rather what another login would change than what only upstream can mend.
      if (obstacle?.code !== 'unauthorized') obstacle = error
      return false
    }
  })
  if (chosen.length > 0) return chosen
  const schemes = challenges.map(({ scheme }) => `"${scheme}"`).join(', ')
  const { host } = own.origin
  throw (
    obstacle ??
    new UpstreamError('protocol', `${host} wants a login of the kind ${schemes}; Berth knows Bearer and Basic`, {
      host,
    })
  )
}

function ofScheme(challenges: readonly ParsedChallenge[], scheme: string): ParsedChallenge[] {
  return challenges.filter((challenge) => challenge.scheme === scheme)
}

function checkChallenge({ scheme, parameters }: ParsedChallenge, { origin, credentials, tokenHosts }: Own): void {
  if (scheme === 'bearer') {
    checkRealm(parameters.realm ?? '', { origin, tokenHosts, hasCredentials: credentials !== undefined })
    return
  }
  if (credentials && 'username' in credentials) return
  const message = credentials
    ? `${origin.host} takes user names and passwords only; give the remote these instead of an identity token`
    : `${origin.host} wants a login`
  throw new UpstreamError('unauthorized', message, { host: origin.host, status: 401 })
}
