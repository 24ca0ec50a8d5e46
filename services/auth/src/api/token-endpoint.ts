import type { RequestListener } from 'node:http'
import { OciError, ociErrorBody } from '@berth/oci'
import {
  clientAddress,
  type Database,
  databaseProblem,
  type Logger,
  type Metrics,
  Problem,
  requestIdOf,
} from '@berth/service'
import { formatScope, loginIn, parseAuthorization, tokenService } from '@berth/tokens'
import { currentTraceId, noteRoute } from '@berth/tracing'
import express, { type ErrorRequestHandler, type Request, type Response } from 'express'
import type { Account } from '../accounts/account.ts'
import type { KeyRing } from '../keys/key-ring.ts'
import type { CheckLogin } from '../login/check-login.ts'
import type { Authenticate } from '../login/identify.ts'
import { issueToken } from '../tokens/issue.ts'
import { findRefreshToken, makeRefreshToken } from '../tokens/refresh-tokens.ts'
import type { LogInByTrust } from '../trusts/log-in.ts'
import { decideContent } from './token-content.ts'
import { createTokenExchange } from './token-exchange.ts'

const formLimit = '64kb'

export type TokenEndpoint = {
  db: Database
  keys: () => KeyRing
  authenticate: Authenticate
  checkLogin: CheckLogin
  trusts: LogInByTrust
  log: Logger
  metrics: Metrics
}

/**
 * Answers `/token`: the docker token endpoint in its two forms (docs/protocol.md#tokens), whose errors have OCI bodies; and beside it the exchange
 * of foreign tokens.
 */
export function createTokenEndpoint(deps: TokenEndpoint): RequestListener {
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  app.use((request, response, next) => {
    observe(request, response, deps)
    if (request.headers.expect !== undefined) response.writeContinue()
    next()
  })
  app.use('/token/exchange', createTokenExchange(deps))
  app
    .route('/token')
    .get((request, response) => answerGet(request, response, deps))
    .post(express.urlencoded({ limit: formLimit, extended: false }), (request, response) =>
      answerPost(request, response, deps),
    )
    .all((_request, response) => {
      response.setHeader('allow', 'GET, HEAD, POST')
      throw new OciError('UNSUPPORTED', 'a token is asked for by GET or POST')
    })
  app.use(answerError(deps.log))
  return app
}

async function answerGet(request: Request, response: Response, deps: TokenEndpoint): Promise<void> {
  const { service, scope, offline_token: offline } = request.query
  refuseOtherService(service)
  const account = await whoAsks(request, deps)
  const content = await decideContent(deps.db, account, texts(scope))
  const { token, issuedAt, expiresIn } = issueToken(deps.keys().signing(), content)
  send(response, {
    token,
    access_token: token,
    expires_in: expiresIn,
    issued_at: issuedAt,
    ...(account && offline === 'true' ? { refresh_token: await makeRefreshToken(deps.db, account) } : {}),
  })
}

async function whoAsks(request: Request, { authenticate }: TokenEndpoint): Promise<Account | undefined> {
  const authorization = loginIn(request.headers.authorization)
  if (authorization === undefined) return undefined
  // An access token must not beget another: it would live on for ever.
  const isBasic = parseAuthorization(authorization)?.kind === 'basic'
  const account = isBasic ? await authenticate(authorization, clientAddress(request)) : undefined
  if (!account) throw wrongCredentials('the user name or the password is not right')
  return account
}

async function answerPost(request: Request, response: Response, deps: TokenEndpoint): Promise<void> {
  const form = (request.body ?? {}) as Record<string, unknown>
  refuseOtherService(form.service)
  const { account, refreshToken } = await whoseGrant(form, clientAddress(request), deps)
  const content = await decideContent(deps.db, account, texts(form.scope))
  const { token, issuedAt, expiresIn } = issueToken(deps.keys().signing(), content)
  const wantsRefresh = form.access_type === 'offline'
  const refresh = refreshToken ?? (wantsRefresh ? await makeRefreshToken(deps.db, account) : undefined)
  send(response, {
    access_token: token,
    scope: content.access.map(formatScope).join(' '),
    expires_in: expiresIn,
    issued_at: issuedAt,
    ...(refresh === undefined ? {} : { refresh_token: refresh }),
  })
}

async function whoseGrant(
  form: Record<string, unknown>,
  ip: string,
  { db, checkLogin }: TokenEndpoint,
): Promise<{ account: Account; refreshToken?: string }> {
  if (form.grant_type === 'refresh_token') {
    const refreshToken = field(form, 'refresh_token')
    const account = await findRefreshToken(db, refreshToken)
    if (!account) throw wrongCredentials('the refresh token is not right, or has expired; log in again')
    return { account, refreshToken }
  }
  if (form.grant_type !== 'password') throw badRequest('grant_type is password or refresh_token')
  const account = await checkLogin(field(form, 'username'), field(form, 'password'), ip)
  if (!account) throw wrongCredentials('the user name or the password is not right')
  return { account }
}

function field(form: Record<string, unknown>, name: string): string {
  const value = form[name]
  if (typeof value !== 'string' || value === '') throw badRequest(`the form has no ${name}`)
  return value
}

function texts(value: unknown): string[] {
  return (Array.isArray(value) ? value : [value]).filter((text) => typeof text === 'string')
}

function refuseOtherService(service: unknown): void {
  if (service !== undefined && service !== tokenService)
    throw badRequest(
      `tokens are issued for the service ${tokenService} only; use the realm and service of the challenge`,
    )
}

function badRequest(message: string): OciError {
  return new OciError('UNSUPPORTED', message, { status: 400 })
}

function wrongCredentials(message: string): OciError {
  return new OciError('UNAUTHORIZED', message, { headers: { 'www-authenticate': 'Basic realm="berth"' } })
}

function send(response: Response, body: Record<string, unknown>): void {
  response.set('cache-control', 'no-store').json(body)
}

function observe(request: Request, response: Response, { log, metrics }: TokenEndpoint): void {
  const startedAt = performance.now()
  const requestEnded = metrics.requestBegins('auth')
  const requestId = requestIdOf(request)
  const traceId = currentTraceId()
  if (traceId) noteRoute(request.method, '/token')
  response.locals.requestId = requestId
  response.setHeader('x-request-id', requestId)
  response.on('close', () => {
    const durationMs = Math.round(performance.now() - startedAt)
    const { method } = request
    const code = response.statusCode
    requestEnded({ route: 'token', method, code, seconds: durationMs / 1000 })
    log.info('token request', { method, status: code, durationMs, requestId, ...(traceId && { traceId }) })
  })
}

function answerError(log: Logger): ErrorRequestHandler {
  return (error: unknown, _request, response, _next) => {
    const refusal = toOciError(error)
    if (refusal.status >= 500 && refusal.status !== 503)
      log.error('token request failed', { requestId: response.locals.requestId as string, error })
    response
      .status(refusal.status)
      .set({ ...refusal.headers, 'content-type': 'application/json', 'cache-control': 'no-store' })
      .send(Buffer.from(ociErrorBody(refusal)))
  }
}

function toOciError(thrown: unknown): OciError {
  if (thrown instanceof OciError) return thrown
  const error = databaseProblem(thrown) ?? thrown
  if (error instanceof Problem) {
    const code = error.status === 429 ? 'TOOMANYREQUESTS' : error.status >= 500 ? 'UNAVAILABLE' : 'DENIED'
    const message = error.options.hint ? `${error.message} ${error.options.hint}` : error.message
    return new OciError(code, message, { headers: error.options.headers ?? {}, status: error.status, cause: error })
  }
  // What Express' body parser throws: too large, cut off, not decodable.
  const { status } = error as { status?: number }
  if (status !== undefined && status >= 400 && status < 500)
    return new OciError('UNSUPPORTED', 'the form cannot be read', { status, cause: error })
  return new OciError('UNKNOWN', 'something went wrong; the log says what', { cause: error })
}
