import type { Readable } from 'node:stream'
import { inSpan, type SpanStart } from '@berth/tracing'
import type { AgentOptions } from './agents.ts'
import { createBulkTransport } from './bulk-transport.ts'
import { readRemaining } from './limit-notice.ts'
import { createRareTransport } from './rare-transport.ts'
import { connectionError, UpstreamError } from './upstream-error.ts'

/**
 * What an upstream, or a host that it points to, answered to one request: without `status`, nothing. `remaining` is what it
 * still grants.
 */
export type UpstreamAnswer = { host: string; status?: number; remaining?: number | undefined }

export type EgressOptions = AgentOptions & {
  /** Hears of every request, each of a chain of redirects too. */
  onAnswer?: ((answer: UpstreamAnswer) => void) | undefined
  /** The registry that all this is for: only it gets the client certificate and the extra headers. */
  origin: URL
  /** Headers for the origin, in lower case or not. */
  headers: Record<string, string>
  /** Whether requests are few and small. */
  isRare?: boolean | undefined
}

export type Outgoing = {
  method: 'GET' | 'HEAD' | 'POST'
  url: URL
  headers: Record<string, string>
  body?: string
  /** Nothing vouches for where it goes: it gets nothing of what is for the registry, also where that is the registry itself. */
  isForeign?: boolean
  signal?: AbortSignal | undefined
}
export type Answer = { status: number; headers: Record<string, string>; body: Readable; url: URL }

const discardedBytes = 64 << 10

/** Lets a body go that is not read. A short one is read to its end, so that its connection can be used again. */
export function discard({ body }: Answer): void {
  let leftBytes = discardedBytes
  body.on('error', () => body.destroy())
  body.on('data', (chunk: Buffer) => {
    leftBytes -= chunk.length
    if (leftBytes < 0) body.destroy()
  })
}

/** The one way out of Berth to registries and whatever they point to (docs/guarantees.md#ssrf). */
export type Egress = {
  /** Sends a request and follows redirects; no header but `accept` and `range` goes to another origin. Answers any status. */
  send(outgoing: Outgoing): Promise<Answer>
  isClosed(): boolean
  close(): Promise<void>
}

/** Of whom it asks only the host is told, and the host is told nothing of the trace. */
function spanOf({ method, url }: Outgoing): SpanStart {
  const attributes = { 'http.request.method': method, 'server.address': url.hostname, 'server.port': portOf(url) }
  return { name: method, kind: 'client', attributes }
}

function portOf({ port, protocol }: URL): number {
  return Number(port || (protocol === 'https:' ? 443 : 80))
}

const mostRedirects = 5
// RFC 9110 §5.5
const unsendable = /[^\t\x20-\x7e\x80-\xff]/
const redirects = new Set([301, 302, 303, 307, 308])

/** Makes a way out for one registry. Throws `UpstreamError` for addresses that are refused and connections that fail. */
export function createEgress(options: EgressOptions): Egress {
  const { origin, addressRule, proxy, isRare = false } = options
  // Only undici's proxy agent says what a proxy has refused.
  const transport = isRare && !proxy ? createRareTransport(options) : createBulkTransport(options)

  const once = async (outgoing: Outgoing): Promise<Answer> => {
    const { url, method, headers, body, signal } = outgoing
    if (url.protocol !== 'https:' && url.protocol !== 'http:')
      throw new UpstreamError('protocol', `${url.protocol} addresses are not followed`, { host: url.host })
    addressRule.checkHost(url.hostname)
    if (proxy) addressRule.checkHost(proxy.url.hostname)
    const isOrigin = url.origin === origin.origin && !outgoing.isForeign
    const sent = isOrigin ? { ...options.headers, ...headers } : headers
    checkHeaders(sent, url.host)
    try {
      const answer = await transport.request({ method, url, headers: sent, body, isOrigin, signal })
      const { status } = answer
      options.onAnswer?.({ host: url.host, status, remaining: readRemaining(answer.headers) })
      return { ...answer, url }
    } catch (error) {
      signal?.throwIfAborted()
      options.onAnswer?.({ host: url.host })
      throw connectionError(url.host, `${method} ${url.pathname}`, error)
    }
  }

  return {
    send: async (outgoing) => {
      let current = outgoing
      for (let hops = 0; ; hops++) {
        const from = current
        const answer = await inSpan(spanOf(from), async (span) => {
          const given = await once(from)
          span.note({ 'http.response.status_code': given.status })
          return given
        })
        const location = answer.headers.location
        // A body may hold a login (tokens/token-request.ts): it goes where it was meant to go, and nowhere else.
        if (!redirects.has(answer.status) || location === undefined || outgoing.body !== undefined) return answer
        discard(answer)
        if (hops === mostRedirects)
          throw new UpstreamError('protocol', `${outgoing.url.host} redirects more than ${mostRedirects} times`, {
            host: outgoing.url.host,
          })
        if (!URL.canParse(location, current.url.href))
          throw new UpstreamError('protocol', `${current.url.host} redirects to something that is no address`, {
            host: current.url.host,
          })
        current = redirected(current, new URL(location, current.url))
      }
    },
    isClosed: () => transport.isClosed(),
    close: () => transport.close(),
  }
}

/** A redirect to another origin gets no credentials, and none of the headers that an operator set for the upstream. */
function redirected(outgoing: Outgoing, url: URL): Outgoing {
  if (outgoing.url.protocol === 'https:' && url.protocol !== 'https:')
    throw new UpstreamError('protocol', `${outgoing.url.host} redirects from https to ${url.protocol}//${url.host}`, {
      host: outgoing.url.host,
    })
  if (url.origin === outgoing.url.origin) return { ...outgoing, url }
  const { accept, range } = outgoing.headers
  return { ...outgoing, url, headers: { ...(accept ? { accept } : {}), ...(range ? { range } : {}) } }
}

/** To a host that cannot be reached a request with a header that cannot be sent never ends, even when it is aborted. Repeats no value. */
function checkHeaders(headers: Record<string, string>, host: string): void {
  for (const [name, value] of Object.entries(headers)) {
    if (unsendable.test(value))
      throw new UpstreamError('protocol', `the header ${name} for ${host} holds a character that no header can hold`, {
        host,
      })
  }
}
