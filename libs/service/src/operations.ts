import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { requireVerb } from './api-access.ts'
import { isFromHere } from './client-address.ts'
import { secretKey } from './config.ts'
import type { Logger } from './logger.ts'
import { mergeMetrics } from './merge-metrics.ts'
import type { Metrics } from './metrics.ts'
import type { Principal } from './principal.ts'
import { Problem, problemBody, problemMediaType } from './problem.ts'
import { requestIdOf } from './request-id.ts'
import { version } from './version.ts'

/** Who may read what is for operators; the standalone stack reads this too. */
export const operationsSettings = {
  /** Opens `/metrics` as `Authorization: Bearer`, as Prometheus sends it. */
  metricsToken: secretKey('BERTH_METRICS_TOKEN', { fallback: undefined as unknown as string }),
}

/** What can be asked whether it serves. */
export type Observed = {
  name: string
  /** Why it cannot serve now; `undefined` when it can. */
  unready(): Promise<string | undefined>
  /** What an operator should look at though it serves: shown by `/readyz`, which is public, so without names. */
  notes?(): Promise<Notes>
  /** The metrics of a service that runs in another process, in Prometheus' text form; empty when it does not answer. */
  metrics?(): Promise<string>
  /** Throws a `Problem` unless the login of a request may see metrics; absent where no login can be read. */
  checkMetricsReader?(request: IncomingMessage): Promise<void>
}

export type Notes = Record<string, string | number>

type Operations = {
  services: readonly Observed[]
  metrics: Metrics
  metricsToken?: string | undefined
  log: Logger
}

/**
 * Answers `/healthz`, `/readyz` and `/metrics`; false when the request is for something else. Metrics name remotes, so they are for
 * this machine, for the token that is set, and for logins with `settings.read`.
 */
export function answerOperations(request: IncomingMessage, response: ServerResponse, operations: Operations): boolean {
  const path = request.url?.split('?', 1)[0]
  const onError = (error: unknown) => {
    operations.log.error('a request of operators failed', { path, error })
    response.destroy()
  }
  if (path === '/healthz') send(response, 200, 'application/json', '{"status":"alive"}')
  else if (path === '/readyz') answerReady(response, operations.services).catch(onError)
  else if (path === '/metrics') answerMetrics(request, response, operations).catch(onError)
  else return false
  return true
}

/** Throws a `Problem` unless the caller that `principal` is may see metrics. */
export function requireMetricsReader(principal: Principal | undefined): void {
  if (!principal)
    throw new Problem(401, 'login_required', 'Log in to see metrics.', {
      hint: 'Send the token of BERTH_METRICS_TOKEN as Bearer, or the login of an account that has settings.read; from the machine itself none is needed.',
      headers: { 'www-authenticate': 'Basic realm="berth"' },
    })
  requireVerb(principal, 'settings.read', { kind: 'settings', name: '' }, 'see metrics')
}

async function checkReader(request: IncomingMessage, { services, metricsToken }: Operations): Promise<void> {
  if (isFromHere(request)) return
  const { authorization } = request.headers
  if (metricsToken !== undefined && isToken(authorization, metricsToken)) return
  if (authorization === undefined) return requireMetricsReader(undefined)
  const reader = services.find((service) => service.checkMetricsReader !== undefined)
  if (!reader) throw new Problem(503, 'starting', 'Berth is starting.', { headers: { 'retry-after': '2' } })
  await reader.checkMetricsReader?.(request)
}

function isToken(authorization: string | undefined, wanted: string): boolean {
  const [, given] = /^Bearer +(.+)$/i.exec(authorization ?? '') ?? []
  // Digests, so that neither the time nor the length tells of the token.
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return given !== undefined && timingSafeEqual(digest(given), digest(wanted))
}

async function answerMetrics(
  request: IncomingMessage,
  response: ServerResponse,
  operations: Operations,
): Promise<void> {
  const { services, metrics } = operations
  try {
    await checkReader(request, operations)
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    const body = JSON.stringify(problemBody(error, requestIdOf(request)))
    return send(response, error.status, problemMediaType, body, error.options.headers)
  }
  const own = await metrics.text()
  const texts = await Promise.all(
    services
      .filter((service) => service.metrics !== undefined)
      .map(async (service) => ({ service: service.name, text: (await service.metrics?.()) ?? '' })),
  )
  const text = texts.length === 0 ? own : mergeMetrics([{ service: 'front', text: own }, ...texts])
  send(response, 200, metrics.registry.contentType, text)
}

async function answerReady(response: ServerResponse, services: readonly Observed[]): Promise<void> {
  const reasons = await Promise.all(
    services.map(async (service) => [service.name, (await service.unready()) ?? 'ready'] as const),
  )
  const ready = reasons.every(([, reason]) => reason === 'ready')
  const notes = await Promise.all(services.map(notesOf))
  send(
    response,
    ready ? 200 : 503,
    'application/json',
    JSON.stringify({
      status: ready ? 'ready' : 'not ready',
      version,
      services: Object.fromEntries(reasons),
      ...Object.assign({}, ...notes),
    }),
  )
}

// What a service would note may be what keeps it from telling; that is said by its readiness.
function notesOf(service: Observed): Promise<Notes> {
  return service.notes?.().catch(() => ({})) ?? Promise.resolve({})
}

/**
 * Answers an internal call to a service that has not started: its tables may not be there yet. Callers know the code, and
 * try again while they have time.
 */
export function answerStarting(response: ServerResponse, service: string): void {
  const problem = new Problem(503, 'starting', `The ${service} service is starting.`)
  send(response, problem.status, problemMediaType, JSON.stringify(problemBody(problem)))
}

function send(
  response: ServerResponse,
  status: number,
  contentType: string,
  text: string,
  headers: Record<string, string> = {},
): void {
  const body = Buffer.from(text)
  response.writeHead(status, { ...headers, 'content-type': contentType, 'content-length': body.length }).end(body)
}
