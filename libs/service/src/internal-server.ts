import { randomUUID } from 'node:crypto'
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { inSpan, type SpanStart } from '@berth/tracing'
import { type AuditEntry, withAudit } from './audit-entry.ts'
import { databaseProblem } from './database-away.ts'
import type { Logger } from './logger.ts'
import { Problem, problemBody, problemMediaType } from './problem.ts'
import type { ServicePublicKeys } from './service-keys.ts'
import { createServiceTokenCheck } from './service-token.ts'

export type InternalCall = {
  /** The service that asks. */
  from: string
  /** The same for each try of one command. */
  commandId: string
  /** How long the caller will wait. */
  timeoutMs: number
  requestId: string
  signal: AbortSignal
  /** What is to be recorded of the change that this makes. */
  audit?: AuditEntry | undefined
}

/** Answers one internal command or query: a value sent as JSON, or `rows(…)`. */
export type InternalHandler = (body: never, call: InternalCall) => Promise<unknown>

/**
 * The internal listener of a service. `run` answers a command of a caller in the same process, with what the listener would
 * answer: a copy of the reply, the bytes as they come, or a thrown Problem.
 */
/** The services that each command may be asked by; absent: every one. */
export type Callers = Readonly<Record<string, readonly string[]>>

export type InternalServer = RequestListener & {
  readonly callers: Callers | undefined
  run(command: string, body: unknown, call: InternalCall): Promise<unknown>
}

class Rows {
  readonly source: AsyncIterable<unknown>
  constructor(source: AsyncIterable<unknown>) {
    this.source = source
  }
}

/** A reply of many objects that is written while it is made. */
export function rows(source: AsyncIterable<unknown>): unknown {
  return new Rows(source)
}

/** Bytes that are written as they come: all that `headers` announce as `content-length`, or the connection breaks off. */
export class ByteReply {
  readonly headers: Record<string, string>
  readonly source: AsyncIterable<Uint8Array>
  constructor(headers: Record<string, string>, source: AsyncIterable<Uint8Array>) {
    this.headers = headers
    this.source = source
  }
}

/** The last line of a complete reply of rows. */
export const endOfRows = '{"end":true}'

const callerLeft = new DOMException('the caller has left', 'AbortError')
const bodyLimitBytes = 64 << 20
// No string of V8 is longer, so neither is the JSON of a service of ours, but for what is not ASCII in it.
const discardLimitBytes = 512 << 20

/**
 * The internal listener of a service: `POST /internal/<service>/<command>`, for holders of a service token only, and for those alone
 * that the table says need the command. Throws where a command is not in the table.
 */
export function createInternalServer(options: {
  service: string
  publicKeys: ServicePublicKeys
  log: Logger
  commands: Record<string, InternalHandler>
  callers?: Callers | undefined
}): InternalServer {
  const { callers } = options
  const untold = callers && Object.keys(options.commands).find((command) => callers[command] === undefined)
  if (untold !== undefined) throw new Error(`nobody says who may ask ${options.service} for ${untold}`)
  const prefix = `/internal/${options.service}/`
  const callerOf = createServiceTokenCheck({ publicKeys: options.publicKeys, self: options.service })
  const listener: RequestListener = (request, response) => {
    const requestId = header(request, 'x-request-id') ?? randomUUID()
    void answer(request, response, requestId).catch((error: unknown) => {
      // A reader of rows that has enough leaves; that is no failure, and there is no reader to tell of one.
      if (response.destroyed && isLeaving(error)) return
      sendProblem(response, asProblem(error, options.log, request.url, requestId), requestId)
    })
  }
  return Object.assign(listener, { run, callers })

  function spanOf(command: string): SpanStart {
    const route = `${prefix}${command}`
    const attributes = { 'http.request.method': 'POST', 'http.route': route }
    return { name: `POST ${route}`, kind: 'server', service: options.service, attributes }
  }

  function requireCaller(command: string, from: string): void {
    if (callers && callers[command]?.includes(from) !== true)
      throw new Problem(403, 'not_for_this_service', `${from} has no need of ${command} of ${options.service}.`)
  }

  async function run(command: string, body: unknown, call: InternalCall): Promise<unknown> {
    const handler = options.commands[command]
    if (!handler) throw new Problem(404, 'no_such_command', `${command} is no command of ${options.service}`)
    try {
      requireCaller(command, call.from)
      // Copied both ways, as if it had been sent: neither side may see what the other does with its objects.
      const result = await inSpan(spanOf(command), () =>
        withAudit(call.audit, () => handler(copy(body) as never, call)),
      )
      return result instanceof ByteReply ? result : copy(result)
    } catch (error) {
      throw asProblem(error, options.log, `${prefix}${command}`, call.requestId)
    }
  }

  async function answer(request: IncomingMessage, response: ServerResponse, requestId: string): Promise<void> {
    const from = callerOf(/^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? '')
    if (!from)
      throw new Problem(401, 'not_a_service', 'Only services of this installation are answered here.', {
        hint: `Check that BERTH_SERVICE_PUBLIC_KEYS of ${options.service} has the public key of the caller.`,
      })
    const command = request.url?.startsWith(prefix) ? request.url.slice(prefix.length) : ''
    const handler = Object.hasOwn(options.commands, command) ? options.commands[command] : undefined
    if (!handler || request.method !== 'POST')
      throw new Problem(404, 'no_such_command', `${request.method} ${request.url} is no command of ${options.service}`)
    requireCaller(command, from)
    const body: unknown = JSON.parse((await readBody(request)) || '{}')
    const aborted = new AbortController()
    response.on('close', () => {
      if (!response.writableFinished) aborted.abort(callerLeft)
    })
    const call: InternalCall = {
      from,
      commandId: header(request, 'berth-command-id') ?? randomUUID(),
      timeoutMs: Number(header(request, 'berth-timeout-ms') ?? 15_000),
      requestId,
      signal: aborted.signal,
      audit: readAudit(header(request, auditHeader)),
    }
    const { traceparent = '' } = request.headers
    const result = await inSpan({ ...spanOf(command), parent: traceparent }, () =>
      withAudit(call.audit, () => handler(body as never, call)),
    )
    if (result instanceof Rows) await sendRows(response, result.source, aborted.signal)
    else if (result instanceof ByteReply) {
      response.writeHead(200, { 'content-type': 'application/octet-stream', ...result.headers })
      await pipeline(Readable.from(result.source, { objectMode: false }), response, { signal: aborted.signal })
    } else sendJson(response, result)
  }
}

/** Carries what is to be recorded, as JSON in base64url: a header has no other letters. */
export const auditHeader = 'berth-audit'

function readAudit(text: string | undefined): AuditEntry | undefined {
  // Only services of ours are heard here, and they write it.
  return text === undefined ? undefined : (JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as AuditEntry)
}

function isLeaving(error: unknown): boolean {
  const { name, code } = error as { name?: string; code?: string }
  return name === 'AbortError' || code === 'ERR_STREAM_PREMATURE_CLOSE'
}

function copy(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value ?? null))
}

/** Throws a Problem `body_too_large` once what is too large has come to its end. */
async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size <= bodyLimitBytes) chunks.push(chunk)
    // Read on and thrown away: to leave cuts the connection, which the caller takes for a service that is away and tries again.
    else if (size <= discardLimitBytes) chunks.length = 0
    else break
  }
  if (size > bodyLimitBytes)
    throw new Problem(413, 'body_too_large', `An internal command takes ${bodyLimitBytes} bytes at most.`)
  return Buffer.concat(chunks).toString('utf8')
}

function sendJson(response: ServerResponse, value: unknown): void {
  const body = Buffer.from(JSON.stringify(value ?? null))
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body)
}

async function sendRows(response: ServerResponse, source: AsyncIterable<unknown>, signal: AbortSignal): Promise<void> {
  response.writeHead(200, { 'content-type': 'application/x-ndjson' })
  const lines = async function* () {
    for await (const row of source) yield `${JSON.stringify(row)}\n`
    yield `${endOfRows}\n`
  }
  await pipeline(Readable.from(lines()), response, { signal })
}

function asProblem(error: unknown, log: Logger, path: string | undefined, requestId: string): Problem {
  // The service that answers the request that led here says it in the log, once.
  const known = error instanceof Problem ? error : databaseProblem(error)
  if (known) return known
  log.error('internal command failed', { path, requestId, error })
  return new Problem(500, 'internal_error', 'An internal command failed; the log says why.', { cause: error })
}

function sendProblem(response: ServerResponse, problem: Problem, requestId: string): void {
  // Once the reply has begun it can only be cut: the missing last line tells the reader.
  if (response.headersSent) {
    response.destroy()
    return
  }
  const body = Buffer.from(JSON.stringify(problemBody(problem, requestId)))
  response
    .writeHead(problem.status, {
      'content-type': problemMediaType,
      'content-length': body.length,
      ...problem.options.headers,
    })
    .end(body)
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}
