import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { MisbehavingUpstream } from './upstream.ts'

export type TokenRealmOptions = {
  /** Where the tokens come from: the upstream itself if nothing is said. */
  issuer?: MisbehavingUpstream
  lifeSeconds?: number
  /** What it gives tokens for: without it, for any request. */
  login?: { username: string; password: string }
  refreshToken?: string
  methods?: readonly ('GET' | 'POST')[]
}
/** One question for a token. */
type TokenQuestion = { method: string; scope: string | null; grantType: string | null; given: boolean }
export type TokenRealm = {
  readonly asked: TokenQuestion[]
  /** Takes no token any more that it gave so far. */
  revoke(): void
}

/**
 * Makes an upstream want tokens, as Docker Hub and `distribution` do: each for one scope, each for so long, by GET and by the
 * OAuth2 form.
 */
export function requireTokens(upstream: MisbehavingUpstream, options: TokenRealmOptions = {}): TokenRealm {
  const { issuer = upstream, lifeSeconds = 300, methods = ['GET', 'POST'] } = options
  const valid = new Map<string, { scope: string | null; endsAt: number }>()
  const asked: TokenQuestion[] = []

  upstream.when(/^(GET|HEAD) \/v2/, ({ request, response, behave }) => {
    const token = valid.get(request.headers.authorization?.replace(/^Bearer /, '') ?? '')
    const scope = scopeOf(request.url ?? '')
    if (token && token.endsAt > performance.now() && (scope === '' || token.scope === scope)) return behave()
    const challenge = `Bearer realm="${issuer.url}/token",service="upstream"${scope ? `,scope="${scope}"` : ''}`
    response.writeHead(401, { 'www-authenticate': challenge }).end()
  })
  issuer.when(/^\w+ \/token/, ({ request, response }) => {
    const answer = (form: URLSearchParams) => {
      const { method = '' } = request
      const given = methods.some((one) => one === method) && isWelcome(options, request, form)
      asked.push({ method, scope: form.get('scope'), grantType: form.get('grant_type'), given })
      if (!given) {
        response.writeHead(methods.some((one) => one === method) ? 401 : 405).end()
        return
      }
      const token = randomUUID()
      valid.set(token, { scope: form.get('scope'), endsAt: performance.now() + lifeSeconds * 1000 })
      sendToken(response, { [method === 'GET' ? 'token' : 'access_token']: token, expires_in: lifeSeconds })
    }
    if (request.method === 'GET') answer(new URL(request.url ?? '', issuer.url).searchParams)
    else readForm(request, answer)
  })
  return { asked, revoke: () => valid.clear() }
}

function scopeOf(path: string): string {
  if (path.startsWith('/v2/_catalog')) return 'registry:catalog:*'
  const [, repository] = /^\/v2\/(.+)\/(?:manifests|blobs|tags|referrers)\//.exec(path) ?? []
  return repository ? `repository:${repository}:pull` : ''
}

function isWelcome(
  { login, refreshToken }: TokenRealmOptions,
  request: IncomingMessage,
  form: URLSearchParams,
): boolean {
  if (form.get('grant_type') === 'refresh_token') return form.get('refresh_token') === refreshToken
  if (!login) return true
  if (form.get('grant_type') === 'password')
    return form.get('username') === login.username && form.get('password') === login.password
  return request.headers.authorization === `Basic ${btoa(`${login.username}:${login.password}`)}`
}

function readForm(request: IncomingMessage, done: (form: URLSearchParams) => void): void {
  let text = ''
  request.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  request.on('end', () => done(new URLSearchParams(text)))
}

function sendToken(response: ServerResponse, body: object): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
