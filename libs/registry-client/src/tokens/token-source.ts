import { createHash } from 'node:crypto'
import { basic, type Credentials } from '../egress/credentials.ts'
import type { Egress } from '../egress/egress.ts'
import { UpstreamError } from '../egress/upstream-error.ts'
import { isTransient } from '../rate-limits/retry.ts'
import type { ParsedChallenge } from './challenge.ts'
import { chooseChallenges } from './choose-challenge.ts'
import { checkRealm } from './realm.ts'
import type { KeptToken, TokenCache } from './token-cache.ts'
import { requestToken } from './token-request.ts'

/** Logs one client in: with what the cache has, and by new tokens that it shares with all clients of the same credentials. */
export type TokenSource = {
  /** The `Authorization` header for a scope, as far as there is one already; one that nears its end is renewed first. */
  known(scope: string, signal: AbortSignal | undefined): Promise<string | undefined>
  /**
   * Answers the best of the challenges to a request that was sent with `refused`, by a new token at most: one that another request
   * got meanwhile does too. Where a new token was refused the login itself is left; `undefined` when nothing is. Throws
   * `UpstreamError` unauthorized when the credentials do not do.
   */
  answer(
    challenges: readonly ParsedChallenge[],
    refused: Refused & { isNew: boolean },
    signal: AbortSignal | undefined,
  ): Promise<string | undefined>
  /** Forgets a header that was refused, though it was new. */
  forget(refused: Refused): void
}
type Refused = { scope: string; authorization: string | undefined }

export type TokenSourceOptions = {
  cache: TokenCache
  egress: Egress
  origin: URL
  credentials: Credentials | undefined
  tokenHosts: readonly string[]
  /** What else makes this client another one to the registry than the next: certificates, headers, the way there. */
  identity: unknown
}

/** Renewed a quarter of its life before its end. */
const renewedAfter = 0.75

/** Makes the logins of one client; tokens lie in the cache that is given. */
export function createTokenSource(options: TokenSourceOptions): TokenSource {
  const { cache, egress, origin, credentials, tokenHosts } = options
  // Once for the client, and not for each request: certificates are long.
  const identityHash = createHash('sha256')
    .update(JSON.stringify([origin.origin, credentials, options.identity]))
    .digest('base64')
  const keyOf = (scope: string) => `${identityHash} ${scope}`
  let wantsBasic = false

  const fetchToken = async (challenge: ParsedChallenge, scope: string, signal: AbortSignal | undefined) => {
    const { realm = '', service } = challenge.parameters
    // Some send an empty scope, for which they would give a token that opens nothing.
    const askedScope = challenge.parameters.scope?.trim() || scope
    const login = credentials && 'token' in credentials ? undefined : credentials
    const url = checkRealm(realm, { origin, tokenHosts, hasCredentials: login !== undefined })
    const askedAt = performance.now()
    const issued = await requestToken({ egress, url, service, scope: askedScope, credentials: login, signal })
    const lifeMs = issued.lifeSeconds * 1000
    const token: KeptToken = {
      header: `Bearer ${issued.token}`,
      challenge,
      renewAt: askedAt + lifeMs * renewedAfter,
      endsAt: askedAt + lifeMs,
    }
    return token
  }
  const obtain = (challenge: ParsedChallenge, scope: string, signal: AbortSignal | undefined) =>
    cache.obtain(keyOf(scope), { signal, isGone: () => egress.isClosed() }, () => fetchToken(challenge, scope, signal))

  return {
    known: async (scope, signal) => {
      if (credentials && 'token' in credentials) return `Bearer ${credentials.token}`
      const found = cache.find(keyOf(scope))
      // A registry may want tokens for some of what it has, and Basic for the rest.
      if (!found && wantsBasic && credentials && 'username' in credentials) return basic(credentials)
      if (!found || performance.now() < found.renewAt) return found?.header
      try {
        return await obtain(found.challenge, scope, signal)
      } catch (error) {
        signal?.throwIfAborted()
        if (!(error instanceof UpstreamError)) throw error
        // The issuer may be away for a moment while the token still does; a login that it refuses is told by the registry.
        return isTransient(error) && performance.now() < found.endsAt ? found.header : undefined
      }
    },
    answer: async (challenges, { scope, authorization, isNew }, signal) => {
      const login = credentials && 'username' in credentials ? basic(credentials) : undefined
      if (isNew) {
        const mayLogIn = login !== authorization && challenges.some(({ scheme }) => scheme === 'basic')
        wantsBasic ||= mayLogIn && login !== undefined
        return mayLogIn ? login : undefined
      }
      if (credentials && 'token' in credentials)
        throw new UpstreamError('unauthorized', `${origin.host} refused the token`, { host: origin.host, status: 401 })
      let failure: unknown
      for (const challenge of chooseChallenges(challenges, { origin, credentials, tokenHosts })) {
        if (challenge.scheme === 'basic') {
          wantsBasic = true
          if (authorization) cache.drop(keyOf(scope), authorization)
          return login
        }
        const found = cache.find(keyOf(scope))
        if (found && found.header !== authorization && performance.now() < found.renewAt) return found.header
        try {
          return await obtain(challenge, scope, signal)
        } catch (error) {
          // Some name an issuer that there is not, and take the login; a login that an issuer refuses is not tried elsewhere.
          if (!isNoIssuer(error)) throw error
          failure ??= error
        }
      }
      throw failure
    },
    forget: ({ scope, authorization }) => {
      if (authorization?.startsWith('Bearer ')) cache.drop(keyOf(scope), authorization)
    },
  }
}

/** Whether what was asked for a token gives none to anybody. */
function isNoIssuer(error: unknown): boolean {
  return error instanceof UpstreamError && (error.code === 'not_found' || error.code === 'protocol')
}
