import type { ParsedChallenge } from './challenge.ts'
import { type Answer, discard, type Egress } from './egress.ts'
import { readText } from './read-text.ts'
import { retryAfterSeconds } from './retry.ts'
import { statusError, UpstreamError } from './upstream-error.ts'

export type Credentials = { username: string; password: string } | { token: string }

/** Gets and keeps the tokens of one remote: one for each realm, service and scope. */
export type TokenSource = {
  /** The `Authorization` header for a scope, as far as we know one already. */
  known(scope: string): string | undefined
  /**
   * Answers a challenge to a request that was sent with `refused`, by a new token at most: one that somebody else got
   * meanwhile does too. Throws `UpstreamError` unauthorized when the credentials do not do.
   */
  answer(
    challenge: ParsedChallenge,
    refused: { scope: string; authorization: string | undefined },
    signal: AbortSignal | undefined,
  ): Promise<string>
}

type Kept = { header: string; renewAt: number }

// The token spec: 60 s when the issuer does not say. Renewed a quarter of the life before its end.
const defaultLifeSeconds = 60
const tokenLimitBytes = 256 << 10
/** Issuers that are known to belong to a registry on another host. */
const knownRealms: Record<string, string[]> = { 'registry-1.docker.io': ['auth.docker.io'] }

export function createTokenSource(options: {
  egress: Egress
  origin: URL
  credentials: Credentials | undefined
}): TokenSource {
  const { egress, origin, credentials } = options
  const kept = new Map<string, Kept>()
  const underWay = new Map<string, Promise<string>>()

  const fetchToken = async (
    challenge: ParsedChallenge,
    scope: string,
    signal: AbortSignal | undefined,
  ): Promise<string> => {
    const { realm = '', service } = challenge.parameters
    const url = checkRealm(realm, origin, credentials !== undefined)
    const askedScope = challenge.parameters.scope ?? scope
    if (service) url.searchParams.set('service', service)
    if (askedScope) url.searchParams.set('scope', askedScope)
    const headers: Record<string, string> = { accept: 'application/json' }
    if (credentials && 'username' in credentials) headers.authorization = basic(credentials)
    const answer = await egress.send({ method: 'GET', url, headers, signal })
    if (answer.status !== 200) {
      discard(answer)
      if (answer.status === 401 || answer.status === 403)
        throw new UpstreamError('unauthorized', `${url.host} refused the login for ${origin.host}`, {
          host: url.host,
          status: answer.status,
        })
      throw statusError(
        url.host,
        'the request for a token',
        answer.status,
        retryAfterSeconds(answer.headers['retry-after']),
      )
    }
    return keep(scope, await readToken(answer, url))
  }

  const keep = (scope: string, { token, lifeSeconds }: { token: string; lifeSeconds: number }): string => {
    const header = `Bearer ${token}`
    kept.set(scope, { header, renewAt: performance.now() + lifeSeconds * 750 })
    return header
  }

  return {
    known: (scope) => {
      if (credentials && 'token' in credentials) return `Bearer ${credentials.token}`
      const found = kept.get(scope)
      return found && performance.now() < found.renewAt ? found.header : undefined
    },
    answer: async (challenge, { scope, authorization }, signal) => {
      if (credentials && 'token' in credentials)
        throw new UpstreamError('unauthorized', `${origin.host} refused the token`, { host: origin.host, status: 401 })
      if (challenge.scheme === 'basic') {
        if (!credentials)
          throw new UpstreamError('unauthorized', `${origin.host} wants a login`, { host: origin.host, status: 401 })
        const header = basic(credentials)
        kept.set(scope, { header, renewAt: Number.POSITIVE_INFINITY })
        return header
      }
      if (challenge.scheme !== 'bearer')
        throw new UpstreamError('protocol', `${origin.host} wants a login of the unknown kind "${challenge.scheme}"`, {
          host: origin.host,
        })
      const found = kept.get(scope)
      if (found && found.header !== authorization && performance.now() < found.renewAt) return found.header
      // Many requests may meet the same challenge at once: one of them asks, the others get what it got.
      const running = underWay.get(scope)
      if (running) return running
      const fetching = fetchToken(challenge, scope, signal).finally(() => underWay.delete(scope))
      underWay.set(scope, fetching)
      return fetching
    },
  }
}

function basic({ username, password }: { username: string; password: string }): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

/** Credentials go to the registry's own host or an issuer known to be its; nobody else may name himself as the issuer. */
function checkRealm(realm: string, origin: URL, hasCredentials: boolean): URL {
  if (!URL.canParse(realm))
    throw new UpstreamError('protocol', `${origin.host} names no address to get a token from`, { host: origin.host })
  const url = new URL(realm)
  const trusted = url.hostname === origin.hostname || (knownRealms[origin.hostname] ?? []).includes(url.hostname)
  if (hasCredentials && (!trusted || (origin.protocol === 'https:' && url.protocol !== 'https:'))) {
    throw new UpstreamError(
      'unauthorized',
      `${origin.host} wants its credentials sent to ${url.host}, which is not its own`,
      { host: origin.host },
    )
  }
  return url
}

type TokenAnswer = { token?: unknown; access_token?: unknown; expires_in?: unknown }

function parseObject(text: string): TokenAnswer {
  try {
    return (JSON.parse(text) ?? {}) as TokenAnswer
  } catch {
    // the caller says that there is no token in it
    return {}
  }
}

async function readToken(reply: Answer, url: URL): Promise<{ token: string; lifeSeconds: number }> {
  const answer = parseObject(await readText(reply, tokenLimitBytes, 'a token'))
  const token = answer.token ?? answer.access_token
  if (typeof token !== 'string' || token === '')
    throw new UpstreamError('protocol', `${url.host} answered without a token`, { host: url.host })
  return {
    token,
    lifeSeconds:
      typeof answer.expires_in === 'number' && answer.expires_in > 0 ? answer.expires_in : defaultLifeSeconds,
  }
}
