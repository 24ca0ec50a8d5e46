import { AsyncLocalStorage } from 'node:async_hooks'
import { EventEmitter } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import { idleError, RequestFailed, transientStatuses } from './failure.ts'
import { createReadConnections, type RangeAnswer } from './read-connections.ts'

/** What our side knows of the request under way; the client library has no place for it. */
type Call = {
  signal: AbortSignal | undefined
  /** The caller reads the body at its own pace and times it itself: a `RangeAnswer`, or one of node's. */
  streams: boolean
  status: number | undefined
  errorCode: string | undefined
}

const calls = new AsyncLocalStorage<Call>()

/** Does one request of the client library so that the signal aborts it. Throws `RequestFailed`, or the abort's reason. */
export async function oneRequest<T>(
  signal: AbortSignal | undefined,
  streams: boolean,
  request: () => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted()
  const call: Call = { signal, streams, status: undefined, errorCode: undefined }
  try {
    return await calls.run(call, request)
  } catch (cause) {
    signal?.throwIfAborted()
    throw new RequestFailed(cause, call.status, call.errorCode)
  }
}

export type Transport = Pick<typeof http, 'request'> & { close(): void }

/** How long ranges are not expected to be plain once one was not. */
const otherwiseMs = 60_000

type OnResponse = (response: http.IncomingMessage) => void

/**
 * What the client library sends through: connections kept alive, ended when nothing moves on them, aborted with the call.
 */
export function createTransport(protocol: string, idleTimeoutMs: number): Transport {
  const secure = protocol === 'https:'
  const agent = new (secure ? https : http).Agent({ keepAlive: true, maxSockets: 128 })
  const reads = createReadConnections(agent, idleTimeoutMs)

  const send = (options: http.RequestOptions, onResponse: OnResponse) => {
    const call = calls.getStore()
    const sent = (secure ? https : http).request(
      { ...options, agent, timeout: idleTimeoutMs, ...(call?.signal && { signal: call.signal }) },
      (response) => {
        noteAnswer(call, response)
        if (call?.streams && isSuccess(response)) sent.setTimeout(0)
        onResponse(response)
      },
    )
    sent.on('timeout', () => sent.destroy(idleError(idleTimeoutMs)))
    return sent
  }
  let isPlainAt = 0
  const request = (options: http.RequestOptions, onResponse: OnResponse) => {
    const call = calls.getStore()
    if (!call?.streams || performance.now() < isPlainAt) return send(options, onResponse)
    const asked = reads.ask(options, call.signal).then((answer) => {
      if (answer) call.status = answer.statusCode
      return answer
    })
    const askAgain = () =>
      send(options, (response) => {
        // A range after all: this server, or a proxy before it, says it in another way. Then it is not asked twice for each.
        if (response.statusCode === 206) isPlainAt = performance.now() + otherwiseMs
        onResponse(response)
      })
    return asRequest(asked, onResponse, askAgain)
  }
  return {
    request: request as typeof http.request,
    close() {
      reads.close()
      agent.destroy()
    },
  }
}

/** A read as the client library knows requests. What is no plain range is asked for again by node's client, which knows all of HTTP. */
function asRequest(
  asked: Promise<RangeAnswer | undefined>,
  onResponse: OnResponse,
  askAgain: () => http.ClientRequest,
): EventEmitter {
  const request = Object.assign(new EventEmitter(), { end: () => undefined })
  const fail = (error: unknown) => void request.emit('error', error)
  asked
    .then((answer) => {
      // The library looks at its status and hands it on.
      if (answer) onResponse(answer as unknown as http.IncomingMessage)
      else askAgain().on('error', fail).end()
    })
    .catch(fail)
  return request
}

function noteAnswer(call: Call | undefined, response: http.IncomingMessage): void {
  if (call) {
    call.status = response.statusCode
    // Answers to HEAD have no body to name the error in; MinIO names it here.
    const code = response.headers['x-minio-error-code']
    call.errorCode = typeof code === 'string' ? code : undefined
  }
  // These bodies are not read, and would keep their connections for ever.
  if (transientStatuses.has(response.statusCode ?? 0)) response.resume()
}

function isSuccess({ statusCode = 0 }: http.IncomingMessage): boolean {
  return statusCode >= 200 && statusCode < 300
}
