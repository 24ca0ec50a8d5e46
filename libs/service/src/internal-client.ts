import { type KeyObject, randomUUID } from 'node:crypto'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { currentTraceparent, inSpan } from '@berth/tracing'
import { errors, Pool } from 'undici'
import { type AuditEntry, openAudit } from './audit-entry.ts'
import { integer } from './config.ts'
import { auditHeader, type ByteReply, endOfRows, type InternalCall, type InternalServer } from './internal-server.ts'
import { type InternalTls, isUntrusted } from './internal-tls.ts'
import { callLocally, type LocalPeers, LocalTimeout } from './local-call.ts'
import { Problem, problemFrom } from './problem.ts'
import { createServiceTokens } from './service-token.ts'

const defaultTimeoutSeconds = 15

/** How long a service waits for another one; the standalone stack reads this too. */
export const callSettings = {
  callTimeoutSeconds: integer('BERTH_CALL_TIMEOUT_SECONDS', { min: 1, max: 600 }, { fallback: defaultTimeoutSeconds }),
}

export type CallOptions = {
  signal?: AbortSignal
  /** How long the call may take in all, tries included, when not as long as the client's calls do. */
  timeoutMs?: number
  /** Names the command, so that a repetition has no second effect. One is made up when absent. */
  commandId?: string
  requestId?: string
  /** What is to be recorded of the change that the command makes; what the request at hand is about, unless that is recorded. */
  audit?: AuditEntry | undefined
}

/** Asks and commands another service over its internal listener. */
export type InternalClient = {
  call<Reply>(command: string, body: unknown, options?: CallOptions): Promise<Reply>
  /** A reply of many objects, read as they come (NDJSON). Not tried again. */
  rows<Row>(command: string, body: unknown, options?: CallOptions): AsyncIterable<Row>
  /**
   * A reply of bytes with what was said of them, or a problem. Not tried again. A body that breaks off is an error of its
   * reader.
   */
  bytes(
    command: string,
    body: unknown,
    options?: CallOptions,
  ): Promise<{ headers: Record<string, string | string[] | undefined>; body: Readable }>
  close(): Promise<void>
}

/** `isElsewhere`: the connection is closed behind the answer. */
type Sending = CallOptions & { isElsewhere?: boolean }

const firstPauseMs = 50
const longestPauseMs = 1_000
const connections = 64

/**
 * Makes a client of one service. A call to one that lives in this process needs no socket, and is the same otherwise. A call
 * that finds the service away is tried again until its time is over; its command id stays the same, so the owner recognises
 * what it has done already.
 */
export function createInternalClient(options: {
  baseUrl: string
  from: string
  to: string
  /** What its calls are signed with. */
  privateKey: KeyObject
  /** Where the service may be found without a socket. */
  localPeers?: LocalPeers | undefined
  /** With it no call goes out unless it is encrypted and the service is the one that is meant. */
  tls?: InternalTls | undefined
  /** How long a call may take in all, tries included; 15 s unless set. */
  callTimeoutSeconds?: number | undefined
}): InternalClient {
  const { origin } = new URL(options.baseUrl)
  const { callTimeoutSeconds = defaultTimeoutSeconds } = options
  const connect = options.tls?.connectorTo(options.to, options.from)
  const common = { keepAliveTimeout: 20_000, ...(connect && { connect }) }
  const pool = new Pool(origin, { ...common, connections, headersTimeout: 0, bodyTimeout: 0 })
  // Bytes go at the pace of their reader: a slow reader must not take the place of a command, nor of another reader.
  const streams = new Pool(origin, { ...common, connections: null })
  const token = createServiceTokens(options)
  const spanOf = (command: string) => ({
    name: `POST /internal/${options.to}/${command}`,
    kind: 'client' as const,
    service: options.from,
    attributes: { 'http.request.method': 'POST', 'server.address': options.to },
  })
  const send = async (command: string, body: unknown, more: Sending, timeoutMs: number, through = pool) => {
    const traceparent = currentTraceparent()
    const reply = await through.request({
      method: 'POST',
      path: `/internal/${options.to}/${command}`,
      headers: {
        authorization: `Bearer ${token()}`,
        'content-type': 'application/json',
        'berth-command-id': more.commandId ?? randomUUID(),
        'berth-timeout-ms': String(Math.max(1, Math.round(timeoutMs))),
        ...(traceparent ? { traceparent } : {}),
        ...(more.requestId ? { 'x-request-id': more.requestId } : {}),
        ...(more.audit ? { [auditHeader]: Buffer.from(JSON.stringify(more.audit)).toString('base64url') } : {}),
      },
      body: JSON.stringify(body ?? {}),
      // The pool's own timers: a signal of our own for each call would cost as much as the call.
      headersTimeout: Math.ceil(timeoutMs),
      bodyTimeout: Math.ceil(timeoutMs),
      signal: more.signal ?? null,
      // A connection leads to one replica, and others may be of a newer release.
      reset: more.isElsewhere ?? false,
    })
    if (reply.statusCode < 300) return reply
    const retryAfter = reply.headers['retry-after']
    throw problemFrom(
      reply.statusCode,
      parseJson(await reply.body.text()),
      typeof retryAfter === 'string' ? retryAfter : undefined,
    )
  }
  const callOf = ({ commandId, requestId, signal, audit }: CallOptions & { commandId: string }, timeoutMs: number) => ({
    from: options.from,
    commandId,
    timeoutMs,
    requestId: requestId ?? commandId,
    signal,
    audit,
  })
  const callUntilOver = async <Reply>(command: string, body: unknown, more: CallOptions): Promise<Reply> => {
    const audit = more.audit ?? openAudit()?.entry
    const fixed = { ...more, commandId: more.commandId ?? randomUUID(), audit }
    const deadline = performance.now() + (more.timeoutMs ?? callTimeoutSeconds * 1_000)
    let isElsewhere = false
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      const peer = options.localPeers?.(options.to)
      try {
        const timeoutMs = Math.max(1, deadline - performance.now())
        if (peer) return (await callLocally(peer, command, body, callOf(fixed, timeoutMs))) as Reply
        const reply = await send(command, body, { ...fixed, isElsewhere }, timeoutMs)
        return (await reply.body.json()) as Reply
      } catch (error) {
        const spent = performance.now() + pauseMs >= deadline || more.signal?.aborted
        isElsewhere = isTooOld(error)
        // What lives in this process is of this release.
        if (peer && isElsewhere) throw error
        if (!isAway(error) || spent) throw awayProblem(error, options.to, more.signal)
        await delay(pauseMs / 2 + Math.random() * (pauseMs / 2), undefined, { ref: true })
      }
    }
  }
  return {
    call: <Reply>(command: string, body: unknown, more: CallOptions = {}) =>
      inSpan(spanOf(command), () => callUntilOver<Reply>(command, body, more)),
    async *rows<Row>(command: string, body: unknown, more: CallOptions = {}) {
      let stream: Readable
      try {
        stream = (await inSpan(spanOf(command), () => send(command, body, more, more.timeoutMs ?? 600_000))).body
      } catch (error) {
        throw awayProblem(error, options.to, more.signal)
      }
      yield* readRows<Row>(stream)
    },
    bytes: async (command, body, more = {}) => {
      const timeoutMs = more.timeoutMs ?? 600_000
      const peer = options.localPeers?.(options.to)
      const ask = async () =>
        peer
          ? await bytesOfPeer(peer, command, body, callOf({ ...more, commandId: randomUUID() }, timeoutMs))
          : await send(command, body, more, timeoutMs, streams)
      try {
        return await inSpan(spanOf(command), ask)
      } catch (error) {
        throw awayProblem(error, options.to, more.signal)
      }
    },
    close: async () => void (await Promise.all([pool.destroy(), streams.destroy()])),
  }
}

/** Bytes of a service in this process; their maker is told when the reader has left, as it is over a socket. */
async function bytesOfPeer(
  peer: InternalServer,
  command: string,
  body: unknown,
  { signal, ...call }: Omit<InternalCall, 'signal'> & { signal: AbortSignal | undefined },
): Promise<{ headers: Record<string, string>; body: Readable }> {
  const left = new AbortController()
  const onAbort = () => left.abort(signal?.reason)
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted) onAbort()
  const end = () => {
    signal?.removeEventListener('abort', onAbort)
    left.abort()
  }
  try {
    const { headers, source } = (await peer.run(command, body, { ...call, signal: left.signal })) as ByteReply
    const stream = Readable.from(source, { objectMode: false, highWaterMark: 1 })
    stream.once('close', end)
    return { headers, body: stream }
  } catch (error) {
    end()
    throw error
  }
}

/** What an error answer holds; `undefined` when it is not JSON, because something in between answered. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Reads NDJSON whose last line must say that it is complete: a cut stream is an error, never a short answer. */
async function* readRows<Row>(stream: Readable): AsyncIterable<Row> {
  let complete = false
  const lines = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })
  try {
    for await (const line of lines) {
      if (line === endOfRows) complete = true
      else if (line !== '') yield JSON.parse(line) as Row
    }
  } finally {
    // A reader that leaves early ends the request, for the owner holds a snapshot open for it. Both report that end as an
    // error of theirs, which is no news.
    lines.on('error', () => {})
    stream.on('error', () => {}).destroy()
  }
  if (!complete) throw new Problem(502, 'incomplete_reply', 'the reply of another service of ours was cut off')
}

const awayCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  // It speaks http yet, or no TLS at all.
  'EPROTO',
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
])

/** Of a replica of the release before, which does not know a command: during an upgrade another one, or it itself, soon will. */
function isTooOld(error: unknown): boolean {
  return error instanceof Problem && error.code === 'no_such_command'
}

function isAway(error: unknown): boolean {
  if (error instanceof Problem) return error.code === 'starting' || isTooOld(error)
  return awayCodes.has(codeOf(error) ?? '')
}

function awayProblem(error: unknown, to: string, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted || (error instanceof Problem && !isAway(error))) return error
  if (isUntrusted(error))
    return new Problem(503, 'service_unavailable', `The ${to} service shows no certificate that is believed.`, {
      hint: 'The log says why. BERTH_INTERNAL_TLS_CA has to hold its authority, and its certificate the name that it is asked under.',
      headers: { 'retry-after': '2' },
      cause: error,
    })
  const timedOut =
    error instanceof errors.HeadersTimeoutError ||
    error instanceof errors.BodyTimeoutError ||
    error instanceof LocalTimeout
  if (!timedOut && !isAway(error)) return error
  return new Problem(503, 'service_unavailable', `The ${to} service does not answer.`, {
    hint: 'It may be restarting; try again in a few seconds.',
    headers: { 'retry-after': '2' },
    cause: error,
  })
}

function codeOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined
}
