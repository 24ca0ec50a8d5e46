import { databaseProblem, type Logger, Problem, type Sql } from '@berth/service'
import { formatScope } from '@berth/tokens'
import express, { type ErrorRequestHandler, type Request, type Response, type Router } from 'express'
import type { KeyRing } from '../keys/key-ring.ts'
import { issueToken } from '../tokens/issue.ts'
import type { LogInByTrust } from '../trusts/log-in.ts'
import { decideContent } from './token-content.ts'

type Deps = { db: Sql; keys: () => KeyRing; trusts: LogInByTrust; log: Logger }

const formLimit = '64kb'
const grantType = 'urn:ietf:params:oauth:grant-type:token-exchange'
const accessTokenType = 'urn:ietf:params:oauth:token-type:access_token'
const foreignTypes = ['urn:ietf:params:oauth:token-type:jwt', 'urn:ietf:params:oauth:token-type:id_token']

/** A refusal as OAuth has it (RFC 6749 §5.2). */
class ExchangeError extends Error {
  override name = 'ExchangeError'
  readonly code: string

  constructor(code: string, message: string) {
    super(printable(message))
    this.code = code
  }
}

/** Answers `/token/exchange`: a token of an issuer that is trusted for a token of ours (RFC 8693). */
export function createTokenExchange(deps: Deps): Router {
  const router = express.Router()
  router
    .route('/')
    .post(express.urlencoded({ limit: formLimit, extended: false }), (request, response) =>
      exchange(request, response, deps),
    )
    .all((_request, response) => {
      response.status(405).setHeader('allow', 'POST')
      throw new ExchangeError('invalid_request', 'a token is exchanged by POST')
    })
  router.use(answerError(deps.log))
  return router
}

async function exchange(request: Request, response: Response, { db, keys, trusts, log }: Deps): Promise<void> {
  const form = readForm(request.body)
  const login = await (form.name === undefined ? trusts.any(form.token) : trusts.named(form.name, form.token))
  if (!login) throw new ExchangeError('invalid_request', `client_id: there is no trust '${form.name}'`)
  if (!login.account) throw new ExchangeError('invalid_request', `subject_token: ${login.refusal}`)
  const { account, trust } = login
  const content = await decideContent(db, account, form.scopes)
  // Who named scopes wants a token for these, and for nothing else that the robot may.
  const isNamed = !content.api
  const issued = issueToken(keys().signing(), isNamed ? { ...content, isAdmin: false, limited: true } : content)
  log.info('token exchanged', {
    trust: trust.name,
    robot: account.name,
    requestId: response.locals.requestId as string,
  })
  response.set('cache-control', 'no-store').json({
    access_token: issued.token,
    issued_token_type: accessTokenType,
    token_type: 'Bearer',
    expires_in: issued.expiresIn,
    ...(isNamed ? { scope: content.access.map(formatScope).join(' ') } : {}),
  })
}

function readForm(body: unknown): { token: string; name: string | undefined; scopes: string[] } {
  const form = (body ?? {}) as Record<string, unknown>
  const text = (name: string): string | undefined => {
    const value = form[name]
    if (value === undefined || value === '') return undefined
    if (typeof value === 'string' && !value.includes('\0')) return value
    throw new ExchangeError('invalid_request', `${name} is there more than once, or holds U+0000`)
  }
  const required = (name: string): string => {
    const value = text(name)
    if (value === undefined) throw new ExchangeError('invalid_request', `the form has no ${name}`)
    return value
  }
  if (required('grant_type') !== grantType)
    throw new ExchangeError('unsupported_grant_type', `grant_type is ${grantType}`)
  if (!foreignTypes.includes(required('subject_token_type')))
    throw new ExchangeError('invalid_request', `subject_token_type is ${foreignTypes.join(' or ')}`)
  const wanted = text('requested_token_type')
  if (wanted !== undefined && wanted !== accessTokenType)
    throw new ExchangeError('invalid_request', `requested_token_type is ${accessTokenType}`)
  if (text('actor_token') !== undefined)
    throw new ExchangeError('invalid_request', 'actor_token: nobody acts for another here; leave it out')
  const scope = text('scope')
  return { token: required('subject_token'), name: text('client_id'), scopes: scope === undefined ? [] : [scope] }
}

/** What may stand in an `error_description` (RFC 6749 §5.2). */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x21\x23-\x5b\x5d-\x7e]/g, "'").slice(0, 300)
}

function answerError(log: Logger): ErrorRequestHandler {
  return (thrown: unknown, _request, response, _next) => {
    const error = databaseProblem(thrown) ?? thrown
    response.set('cache-control', 'no-store')
    if (error instanceof ExchangeError) {
      if (response.statusCode < 400) response.status(400)
      response.json({ error: error.code, error_description: error.message })
      return
    }
    if (error instanceof Problem) {
      const { status, message, options } = error
      const description = printable(options.hint === undefined ? message : `${message} ${options.hint}`)
      response
        .status(status)
        .set(options.headers ?? {})
        .json({ error: status >= 500 ? 'temporarily_unavailable' : 'invalid_request', error_description: description })
      return
    }
    // What the parser of bodies throws: too large, cut off, not decodable.
    const { status } = error as { status?: number }
    if (status !== undefined && status >= 400 && status < 500) {
      response.status(status).json({ error: 'invalid_request', error_description: 'the form cannot be read' })
      return
    }
    log.error('token exchange failed', { requestId: response.locals.requestId as string, error })
    response.status(500).json({ error: 'server_error', error_description: 'something went wrong; the log says what' })
  }
}
