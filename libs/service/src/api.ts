import { currentTraceId, noteRoute } from '@berth/tracing'
import express, {
  type ErrorRequestHandler,
  type Express,
  type Request,
  type RequestHandler,
  type Response,
} from 'express'
import { middleware as validate } from 'express-openapi-validator'
import { type ObjectFinders, readRule, requireLogin, requireRights } from './api-access.ts'
import { readBody } from './api-body.ts'
import { countDenied } from './api-denied.ts'
import type { ApiDocument, Operation } from './api-document.ts'
import { toProblem } from './api-problem.ts'
import { withAudit } from './audit-entry.ts'
import { entryOf, isChanging, readSubject } from './audit-subject.ts'
import { inertHeaders, isForged } from './browser-guard.ts'
import { clientAddress } from './client-address.ts'
import type { Denial } from './denials.ts'
import type { Logger } from './logger.ts'
import type { Metrics } from './metrics.ts'
import { actorOf, anonymous, type Principal } from './principal.ts'
import { Problem, problemBody, problemMediaType, reasonOf } from './problem.ts'
import { requestIdOf } from './request-id.ts'
import { readSession } from './session-cookie.ts'
import { refuseUnstorableText } from './storable-text.ts'

/**
 * Reads an `Authorization` header, or without one the secret of a session; `undefined` for a caller without any, or whose session has
 * ended. Throws a 401 `Problem` for a bad header.
 */
export type Identify = (
  authorization: string | undefined,
  request: { ip: string; requestId: string; session?: string | undefined },
) => Promise<Principal | undefined>

export type ApiRequest = {
  params: Record<string, string>
  query: Record<string, unknown>
  body: unknown
  principal: Principal
  /** Asks anew who sends it, for an answer that lasts: what was taken away meanwhile ends it. */
  whoNow: () => Promise<Principal | undefined>
  requestId: string
  /** Of a call from within that may be repeated: the id of the task that it makes. */
  taskId?: string
  signal: AbortSignal
  /** The bare answer, for what is no JSON document (server-sent events). A handler that uses it answers `undefined`. */
  response: Response
}
export type ApiReply = { status: number; body?: unknown; headers?: Record<string, string> }
/** Answers one operation; what it takes of a request is what the document says of it (`Handlers`). */
export type ApiHandler = (request: never) => Promise<ApiReply | undefined>

// HEAD before GET, which express would answer it by.
const methods = ['head', 'get', 'put', 'post', 'patch', 'delete'] as const

/**
 * The public API of a service under `/api/v1`, made from its OpenAPI document: requests are validated against it, each
 * operation goes to the handler named by its operationId, and refusals are problem documents. Throws when an operation has
 * no handler or no `x-access`, so that nothing is open by oversight.
 */
export function createApi(options: {
  service: string
  document: ApiDocument
  handlers: Record<string, ApiHandler>
  identify: Identify
  /** Finds the objects that `x-access` names. */
  objects?: ObjectFinders | undefined
  /** The origin that clients use, where the request does not say it. */
  externalUrl?: string | undefined
  /** Hears of every request that is refused by who asks. */
  onDenied?: ((denial: Denial) => void) | undefined
  log: Logger
  metrics: Metrics
}): Express {
  const { document, service } = options
  const app = express()
  app.disable('x-powered-by')
  app.disable('etag')
  // As the paths of the document are compared: `/Users` is not `/users`.
  app.enable('case sensitive routing')
  app.use(nameRequest)
  app.get('/api/v1/openapi.json', (_request, response) => void response.json(document))
  app.use(refuseForged(options.externalUrl))
  app.use(refuseBeforeBody(document, options.identify))
  app.use(unlessStreamed(readBody))
  app.use(refuseUnstorableText)
  const validators = validate({
    apiSpec: structuredClone(document) as never,
    $refParser: { mode: 'dereference' },
    validateRequests: { allErrors: true },
    validateResponses: false,
    validateSecurity: false,
    validateApiSpec: false,
  })
  app.use(validators.map(unlessStreamed))
  for (const [path, item] of pathsUnderApi(document)) {
    for (const method of methods) {
      const operation = item[method]
      if (operation) app[method](expressPath(path), route(service, { operation, path, method }, options))
    }
  }
  app.use((request) => {
    throw new Problem(404, 'no_such_path', `There is no ${request.method} ${request.path}.`, {
      hint: 'GET /api/v1/openapi.json lists what there is.',
    })
  })
  app.use(countDenied(options.onDenied))
  app.use(answerProblem(options.log))
  return app
}

/** A path with `servers` of its own lies elsewhere (`/token`); the document only tells of it, and another handler answers it. */
function pathsUnderApi(document: ApiDocument): [string, ApiDocument['paths'][string]][] {
  return Object.entries(document.paths).filter(([, item]) => !('servers' in item))
}

function expressPath(path: string): string {
  return `/api/v1${path.replaceAll(/\{(\w+)\}/g, ':$1')}`
}

const nameRequest: RequestHandler = (request, response, next) => {
  response.locals.requestId = requestIdOf(request)
  response.set({ ...inertHeaders, 'x-request-id': response.locals.requestId as string })
  next()
}

function refuseForged(externalUrl: string | undefined): RequestHandler {
  return (request, _response, next) => {
    if (isForged(request, externalUrl))
      throw new Problem(403, 'cross_origin', 'A page of another site may change nothing here.', {
        hint: 'Send changes from a program, or from a page of the same origin. Behind a proxy, set BERTH_EXTERNAL_URL to the origin that clients use.',
      })
    next()
  }
}

/** Leaves out what reads a body, or compares it with the document, where the handler reads it. */
function unlessStreamed(handler: RequestHandler): RequestHandler {
  return (request, response, next) => {
    if (!response.locals.isStreamed) return handler(request, response, next)
    next()
    return undefined
  }
}

/** Decides before any byte of a body is read, so that a caller that is not let in cannot cause any parsing. */
function refuseBeforeBody(document: ApiDocument, identify: Identify): RequestHandler {
  const routes = pathsUnderApi(document).flatMap(([path, item]) =>
    methods
      .filter((method) => item[method])
      .map((method) => {
        const operation: Operation = item[method] ?? {}
        const rule = readRule(operation['x-access'], `${method} ${path}`)
        const pattern = new RegExp(`^/api/v1${path.replaceAll(/\{\w+\}/g, '[^/]+')}/?$`)
        const about = { action: operation.operationId ?? '', subject: readSubject(operation, path) }
        const isStreamed = operation['x-streamed'] === true
        return { method: method.toUpperCase(), pattern, rule, about, isStreamed }
      }),
  )
  return async (request, response, next) => {
    const found = routes.find((one) => one.method === request.method && one.pattern.test(request.path))
    // A path that is none gets its 404 only after the login: what exists is not told before.
    const rule = found?.rule ?? 'self'
    const sent = {
      ip: clientAddress(request),
      requestId: response.locals.requestId as string,
      // Nobody need have logged in, so nothing that a page could have its browser send along counts.
      session: rule === 'anonymous' ? undefined : readSession(request),
    }
    const whoNow = () => identify(request.headers.authorization, sent)
    response.locals.about = found?.about
    const isStreamed = found?.isStreamed === true
    response.locals.isStreamed = isStreamed
    const principal = await whoNow()
    response.locals.whoNow = whoNow
    response.locals.principal = principal ?? anonymous
    requireLogin(rule, principal, `${request.method} ${request.path}`)
    // What reads the body by itself says that the client may go on.
    if (request.headers.expect !== undefined && !isStreamed) response.writeContinue()
    next()
  }
}

function route(
  service: string,
  { operation, path, method }: { operation: Operation; path: string; method: string },
  options: { handlers: Record<string, ApiHandler>; objects?: ObjectFinders | undefined; log: Logger; metrics: Metrics },
): RequestHandler {
  const id = operation.operationId ?? ''
  const handler = options.handlers[id]
  if (!handler) throw new Error(`the operation "${id}" of ${service} has no handler`)
  const rule = readRule(operation['x-access'], id)
  const subject = readSubject(operation, path)
  const isAudited = isChanging(method) || operation['x-audit'] !== undefined
  if (isAudited && !subject)
    throw new Error(`the operation "${id}" of ${service} has no x-audit that says what it changes`)
  return async (request, response) => {
    const startedAt = performance.now()
    const requestEnded = options.metrics.requestBegins(service)
    const gone = new AbortController()
    const traceId = currentTraceId()
    if (traceId) noteRoute(request.method, `/api/v1${path}`)
    response.locals.routed = true
    response.on('close', () => {
      const durationMs = Math.round(performance.now() - startedAt)
      requestEnded({
        route: id,
        method: request.method,
        code: response.statusCode,
        seconds: durationMs / 1000,
      })
      options.log.info('api request', {
        operation: id,
        status: response.statusCode,
        durationMs,
        requestId: response.locals.requestId,
        ...(traceId && { traceId }),
        who: (response.locals.principal as Principal).name,
        ...(response.locals.refusal as object | undefined),
      })
      if (!response.writableFinished) gone.abort()
    })
    // Again, for the operation that is really run: other code that matches paths may match them in another way.
    const what = `${request.method} ${request.path}`
    requireLogin(rule, readPrincipal(response), what)
    const sent = readRequest(request, response, gone.signal)
    const objects = options.objects ?? {}
    response.locals.about = { action: id, subject, sent }
    await requireRights(rule, sent.principal, sent, { objects, what })
    const { requestId, principal } = sent
    const by = { action: id, actor: actorOf(principal), address: clientAddress(request), requestId }
    const entry = isAudited && subject ? await entryOf(subject, sent, objects, by) : undefined
    // The validator has compared it with the document, of which the types of handlers are made.
    const reply = await withAudit(entry, () => handler(sent as never))
    if (reply) sendReply(response, reply)
  }
}

function readPrincipal(response: Response): Principal | undefined {
  const principal = response.locals.principal as Principal
  return principal === anonymous ? undefined : principal
}

function readRequest(request: Request, response: Response, signal: AbortSignal): ApiRequest {
  return {
    params: readParams(request),
    query: request.query,
    body: request.body,
    principal: response.locals.principal as Principal,
    whoNow: response.locals.whoNow as ApiRequest['whoNow'],
    requestId: response.locals.requestId as string,
    signal,
    response,
  }
}

/** The parameters of a path, of the types that the document says. The validator puts none into `params` that is 0. */
function readParams(request: Request): Record<string, string> {
  const { openapi } = request as { openapi?: { pathParams?: object } }
  return { ...request.params, ...openapi?.pathParams } as Record<string, string>
}

function sendReply(response: Response, reply: ApiReply): void {
  response.status(reply.status).set(reply.headers ?? {})
  if (reply.body === undefined) response.end()
  else response.json(reply.body)
}

function answerProblem(log: Logger): ErrorRequestHandler {
  return (error: unknown, request, response, _next) => {
    const problem = toProblem(error)
    const requestId = response.locals.requestId as string
    // What is away for now was foreseen: a line says it, and the stack of every request that met it would say no more.
    if (problem.status === 503) {
      response.locals.refusal = reasonOf(problem)
      if (!response.locals.routed)
        log.warn('api request refused for now', { path: request.path, requestId, ...reasonOf(problem) })
    }
    if (problem.status >= 500 && problem.status !== 503)
      log.error('api request failed', { path: request.path, requestId, error })
    if (response.headersSent) {
      response.destroy()
      return
    }
    const body = JSON.stringify(problemBody(problem, requestId))
    response
      .status(problem.status)
      .set(problem.options.headers ?? {})
      .set('content-type', problemMediaType)
      .send(Buffer.from(body))
  }
}
