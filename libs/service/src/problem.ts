/** What a refusal says beside its sentence. `field` names the faulty input, `hint` the next step, `more` adds members. */
export type ProblemOptions = {
  field?: string
  hint?: string
  more?: Record<string, unknown>
  headers?: Record<string, string>
  cause?: unknown
}

/** A refusal of the API or of an internal call, answered as RFC 9457 problem details with a stable `code`. */
export class Problem extends Error {
  override name = 'Problem'
  readonly status: number
  readonly code: string
  readonly options: ProblemOptions

  constructor(status: number, code: string, message: string, options: ProblemOptions = {}) {
    super(message, { cause: options.cause })
    this.status = status
    this.code = code
    this.options = options
  }
}

const titles: Record<number, string> = {
  400: 'Bad request',
  401: 'Not logged in',
  403: 'Not allowed',
  404: 'Not found',
  405: 'Method not allowed',
  409: 'Conflict',
  413: 'Too large',
  415: 'Unsupported media type',
  429: 'Too many requests',
  500: 'Internal error',
  502: 'Bad gateway',
  503: 'Not available',
}

export const problemMediaType = 'application/problem+json'

/** The body of a problem answer. `traceId` lets an operator find the log lines of the request. */
export function problemBody(problem: Problem, traceId?: string): Record<string, unknown> {
  const { field, hint, more } = problem.options
  return {
    type: 'about:blank',
    title: titles[problem.status] ?? 'Error',
    status: problem.status,
    code: problem.code,
    detail: problem.message,
    ...(field === undefined ? {} : { field }),
    ...(hint === undefined ? {} : { hint }),
    ...more,
    ...(traceId === undefined ? {} : { traceId }),
  }
}

/** What a log says of a refusal that was foreseen: its code, its sentence, and what lies under it, without a stack. */
export function reasonOf(problem: Problem): { code: string; reason: string } {
  const { code, message, cause } = problem
  const under = cause instanceof Error || Error.isError(cause) ? cause.message : ''
  return { code, reason: under === '' ? message : `${message} (${under})` }
}

/** Reads a problem back out of an answer of another service, so that it reaches the caller unchanged. */
export function problemFrom(status: number, body: unknown, retryAfter?: string): Problem {
  const {
    code,
    detail,
    field,
    hint,
    type: _type,
    title: _title,
    status: _status,
    traceId: _traceId,
    ...more
  } = typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {}
  return new Problem(
    status,
    typeof code === 'string' ? code : 'unknown',
    typeof detail === 'string' ? detail : `status ${status}`,
    {
      ...(typeof field === 'string' ? { field } : {}),
      ...(typeof hint === 'string' ? { hint } : {}),
      ...(retryAfter === undefined ? {} : { headers: { 'retry-after': retryAfter } }),
      more,
    },
  )
}

/** 404 for a named thing. */
export function notFound(kind: string, name: string): Problem {
  return new Problem(
    404,
    `${kind}_not_found`,
    `There is no ${kind.replaceAll('_', ' ')} "${name}", or you may not see it.`,
  )
}

/** 400 for a field. */
export function badField(field: string, message: string, hint?: string): Problem {
  return new Problem(400, 'invalid_field', `${field}: ${message}`, { field, ...(hint === undefined ? {} : { hint }) })
}
