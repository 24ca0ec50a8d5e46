import type { ApiRequest } from './api.ts'
import { endAtClose } from './draining.ts'

/** Begins an answer of server-sent events, which no proxy may keep to itself, and no service that stops waits for. */
export function beginStream(response: ApiRequest['response']): void {
  response.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  endAtClose(response)
}

/** How often a silent stream says that it is there: proxies cut a connection that is silent for a minute, some sooner. */
export const heartbeatMs = 15_000
