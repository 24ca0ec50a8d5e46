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
 * Of the challenges of one answer the strongest that can be met with what there is, whatever their order (RFC 9110 §11.6.1): a
 * token for a scope before the login itself, and the first of several like it. Throws `UpstreamError` with what is in the way.
 */
export function chooseChallenge(challenges: readonly ParsedChallenge[], own: Own): ParsedChallenge {
  let obstacle: UpstreamError | undefined
  for (const challenge of [...ofScheme(challenges, 'bearer'), ...ofScheme(challenges, 'basic')]) {
    try {
      checkChallenge(challenge, own)
      return challenge
    } catch (error) {
      if (!(error instanceof UpstreamError)) throw error
      // Rather what another login would change than what only upstream can mend.
      if (obstacle?.code !== 'unauthorized') obstacle = error
    }
  }
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
