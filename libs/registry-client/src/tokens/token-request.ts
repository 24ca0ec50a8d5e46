import { basic, type Credentials } from '../egress/credentials.ts'
import { type Answer, discard, type Egress, type Outgoing } from '../egress/egress.ts'
import { retryAfterSeconds } from '../egress/limit-notice.ts'
import { readText } from '../egress/read-text.ts'
import { statusError, UpstreamError } from '../egress/upstream-error.ts'

// The token spec: 60 s when the issuer does not say.
const defaultLifeSeconds = 60
const tokenLimitBytes = 256 << 10
const clientId = 'berth'

export type TokenRequest = {
  egress: Egress
  /** Where the issuer is, as `checkRealm` let it pass. */
  url: URL
  service: string | undefined
  scope: string
  credentials: Exclude<Credentials, { token: string }> | undefined
  signal: AbortSignal | undefined
}
export type IssuedToken = { token: string; lifeSeconds: number }

/**
 * Asks an issuer for a token: by GET, and by the OAuth2 form where GET is unknown to it or an identity token is all we have
 * (distribution, "Token Authentication Specification" and "OAuth2"). Throws `UpstreamError`.
 */
export async function requestToken(request: TokenRequest): Promise<IssuedToken> {
  const { egress, url, credentials } = request
  const isLogin = credentials !== undefined && 'username' in credentials
  if (!credentials || isLogin) {
    const answer = await egress.send(byQuery(request))
    if (!isLogin || (answer.status !== 404 && answer.status !== 405)) return readAnswer(answer, url)
    discard(answer)
  }
  return readAnswer(await egress.send(byForm(request)), url)
}

function byQuery({ url, service, scope, credentials, signal }: TokenRequest): Outgoing {
  const asked = new URL(url)
  if (service) asked.searchParams.set('service', service)
  if (scope) asked.searchParams.set('scope', scope)
  const isLogin = credentials !== undefined && 'username' in credentials
  return {
    method: 'GET',
    url: asked,
    headers: { accept: 'application/json', ...(isLogin ? { authorization: basic(credentials) } : {}) },
    signal,
  }
}

function byForm({ url, service, scope, credentials, signal }: TokenRequest): Outgoing {
  const form = new URLSearchParams({ client_id: clientId })
  if (service) form.set('service', service)
  if (scope) form.set('scope', scope)
  if (credentials && 'username' in credentials) {
    form.set('grant_type', 'password')
    form.set('username', credentials.username)
    form.set('password', credentials.password)
  } else if (credentials) {
    form.set('grant_type', 'refresh_token')
    form.set('refresh_token', credentials.refreshToken)
  }
  return {
    method: 'POST',
    url,
    headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
    body: form.toString(),
    signal,
  }
}

async function readAnswer(answer: Answer, url: URL): Promise<IssuedToken> {
  if (answer.status === 200) return readToken(answer, url)
  discard(answer)
  if (answer.status === 401 || answer.status === 403)
    throw new UpstreamError('unauthorized', `${url.host} refused the login`, { host: url.host, status: answer.status })
  throw statusError(
    url.host,
    'the request for a token',
    answer.status,
    retryAfterSeconds(answer.headers['retry-after']),
  )
}

type TokenAnswer = { token?: unknown; access_token?: unknown; expires_in?: unknown }

async function readToken(reply: Answer, url: URL): Promise<IssuedToken> {
  const answer = parseObject(await readText(reply, tokenLimitBytes, 'a token'))
  const token = answer.token ?? answer.access_token
  // What cannot stand in a header would end the request in an error that says nothing.
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token))
    throw new UpstreamError('protocol', `${url.host} answered without a token`, { host: url.host })
  const { expires_in: life } = answer
  return { token, lifeSeconds: typeof life === 'number' && life > 0 ? life : defaultLifeSeconds }
}

function parseObject(text: string): TokenAnswer {
  try {
    return (JSON.parse(text) ?? {}) as TokenAnswer
  } catch {
    // the caller says that there is no token in it
    return {}
  }
}
