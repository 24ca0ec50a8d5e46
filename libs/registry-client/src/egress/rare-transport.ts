import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { getCACertificates } from 'node:tls'
import got, { type OptionsInit, RequestError } from 'got'
import type { AgentOptions } from './agents.ts'
import { flatten } from './bulk-transport.ts'
import type { Transport } from './transport.ts'

/**
 * Sends what is rare and small, such as requests for tokens: a connection for each, and nothing of got's own conveniences, for
 * redirects, repetitions and limits are the same for all that leaves Berth (docs/decisions/0035).
 */
export function createRareTransport({ tls, timeouts, addressRule }: AgentOptions): Transport {
  const closing = new AbortController()
  const trust = (isOrigin: boolean): OptionsInit['https'] => {
    const own = { rejectUnauthorized: tls.verify ?? true }
    if (!isOrigin)
      return { ...own, ...(tls.ca ? { certificateAuthority: [...getCACertificates('default'), tls.ca] } : {}) }
    return {
      ...own,
      ...(tls.ca ? { certificateAuthority: tls.ca } : {}),
      ...(tls.cert ? { certificate: tls.cert } : {}),
      ...(tls.key ? { key: tls.key } : {}),
    }
  }
  return {
    request: async ({ method, url, headers, body, isOrigin, signal }) => {
      if (closing.signal.aborted) throw new Error('this client was closed')
      const stream = got.stream(url, {
        method,
        // Absent and not got's own, as in what is sent in bulk.
        headers: { 'user-agent': undefined, ...headers },
        ...(body === undefined ? {} : { body }),
        dnsLookup: addressRule.lookup,
        https: trust(isOrigin),
        timeout: { connect: timeouts.connectMs, response: timeouts.headersMs, socket: timeouts.idleMs },
        signal: signal ? AbortSignal.any([signal, closing.signal]) : closing.signal,
        retry: { limit: 0 },
        followRedirect: false,
        throwHttpErrors: false,
        decompress: false,
      })
      try {
        const [response] = (await once(stream, 'response')) as [IncomingMessage]
        return { status: response.statusCode ?? 0, headers: flatten(response.headers), body: stream }
      } catch (error) {
        // What the look-up refused, or the system said, is behind got's own error.
        throw error instanceof RequestError && error.cause instanceof Error ? error.cause : error
      }
    },
    isClosed: () => closing.signal.aborted,
    // What is under way ends with it, as the connections of a pool do.
    close: async () => closing.abort(),
  }
}
