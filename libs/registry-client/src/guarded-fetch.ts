import { createAddressRule } from './egress/address-rules.ts'
import { createEgress } from './egress/egress.ts'
import { readBytes } from './egress/read-text.ts'
import { UpstreamError } from './egress/upstream-error.ts'

export type GuardedFetchOptions = {
  /** Whose certificate `ca` is for. */
  origin: URL
  ca?: string | undefined
  /** Opens private addresses, but for those that are never asked. */
  allowPrivateAddresses: boolean
  allowHttp: boolean
  /** Most bytes of an answer. */
  limitBytes: number
  /** Most that a request takes, with its redirects and its answer. */
  withinMs: number
}

/** What is sent, as libraries say it that take a function in place of `fetch`. */
type Sent = {
  method?: string
  headers?: Headers | Record<string, string>
  body?: unknown
  signal?: AbortSignal | null | undefined
}
export type GuardedFetch = (url: string, sent?: Sent) => Promise<Response>

const timeouts = { connectMs: 5_000, headersMs: 8_000, idleMs: 8_000 }

/**
 * Makes a `fetch` that goes only where an egress lets it, answers whole bodies of bounded size in bounded time, and keeps no connection.
 * Throws `UpstreamError`.
 */
export function createGuardedFetch(options: GuardedFetchOptions): GuardedFetch {
  const { origin, ca, allowPrivateAddresses, allowHttp, limitBytes, withinMs } = options
  const addressRule = createAddressRule(allowPrivateAddresses ? { refuses: () => false } : {})
  return async (address, sent = {}) => {
    const url = new URL(address)
    if (url.protocol !== 'https:' && !allowHttp)
      throw new UpstreamError('protocol', `${url.host} is asked by https only, unless allowHttp is set`, {
        host: url.host,
      })
    const way = { origin, headers: {}, tls: { ca }, timeouts, connections: 1, proxy: undefined, addressRule }
    const egress = createEgress({ ...way, isRare: true })
    const late = AbortSignal.timeout(withinMs)
    try {
      const answer = await egress.send({
        method: sent.method === 'POST' ? 'POST' : 'GET',
        url,
        headers: plain(sent.headers),
        ...(sent.body === undefined || sent.body === null ? {} : { body: textOf(sent.body) }),
        signal: sent.signal ? AbortSignal.any([sent.signal, late]) : late,
      })
      const bytes = await readBytes(answer, limitBytes, `${sent.method ?? 'GET'} ${url.pathname}`)
      return new Response(hasBody(answer.status) ? new Uint8Array(bytes) : null, {
        status: answer.status,
        headers: answer.headers,
      })
    } catch (error) {
      if (!late.aborted || error instanceof UpstreamError) throw error
      throw new UpstreamError('timeout', `${url.host} did not answer within ${withinMs / 1000} seconds`, {
        host: url.host,
        cause: error,
      })
    } finally {
      await egress.close()
    }
  }
}

function plain(headers: Headers | Record<string, string> = {}): Record<string, string> {
  return headers instanceof Headers ? Object.fromEntries(headers) : headers
}

function textOf(body: unknown): string {
  if (typeof body === 'string') return body
  if (body instanceof URLSearchParams) return body.toString()
  throw new TypeError('only texts and forms are sent')
}

// Of these statuses a `Response` takes no body, not even an empty one.
function hasBody(status: number): boolean {
  return ![101, 204, 205, 304].includes(status)
}
