import { AsyncLocalStorage } from 'node:async_hooks'
import http from 'node:http'
import https from 'node:https'
import { RequestFailed, transientStatuses } from './failure.ts'

/** What our side knows of the request under way; the client library has no place for it. */
type Call = {
  signal: AbortSignal | undefined
  /** The caller reads the body at its own pace and times it itself. */
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

/**
 * What the client library sends through: connections kept alive, ended when nothing moves on them, aborted with the call.
 */
export function createTransport(protocol: string, idleTimeoutMs: number): Transport {
  const secure = protocol === 'https:'
  const agent = new (secure ? https : http).Agent({ keepAlive: true, maxSockets: 128 })

  const request = (options: http.RequestOptions, onResponse: (response: http.IncomingMessage) => void) => {
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
  return { request: request as typeof http.request, close: () => agent.destroy() }
}

export function idleError(idleTimeoutMs: number): Error {
  return Object.assign(new Error(`nothing moved for ${idleTimeoutMs} ms`), { code: 'ETIMEDOUT' })
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
