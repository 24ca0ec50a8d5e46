import type { Dispatcher } from 'undici'
import { type AgentOptions, createAgents } from './agents.ts'
import type { Transport } from './transport.ts'

/** Sends what is much: manifests and blobs by the thousand, and whatever goes through a proxy (docs/decisions/0035). */
export function createBulkTransport(options: AgentOptions): Transport {
  const agents = createAgents(options)
  const { timeouts } = options
  return {
    request: async ({ method, url, headers, body, isOrigin, signal }) => {
      const answer = await (isOrigin ? agents.origin() : agents.elsewhere()).request({
        origin: url.origin,
        path: url.pathname + url.search,
        method,
        headers,
        headersTimeout: timeouts.headersMs,
        bodyTimeout: timeouts.idleMs,
        body: body ?? null,
        signal: signal ?? null,
        // Or each HEAD would end its connection (undici, for servers that send a body with it): a sync of tags asks thousands.
        reset: false,
      })
      return { status: answer.statusCode, headers: flatten(answer.headers), body: answer.body }
    },
    isClosed: () => agents.isClosed(),
    close: () => agents.close(),
  }
}

/** Headers with one text each; a field that came several times is one list (RFC 9110 §5.3). */
export function flatten(headers: Dispatcher.ResponseData['headers']): Record<string, string> {
  const entries = Object.entries(headers).map(
    ([name, value]) => [name, Array.isArray(value) ? value.join(', ') : (value ?? '')] as const,
  )
  return Object.fromEntries(entries)
}
