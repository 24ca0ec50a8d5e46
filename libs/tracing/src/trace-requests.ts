import type { RequestListener } from 'node:http'
import { beginSpan, isTracing } from './spans.ts'

const serverFault = 500

/** Has each request that a listener answers recorded as a span of `service`; the caller's trace goes on in it. */
export function traceRequests(service: string, listener: RequestListener): RequestListener {
  return (request, response) => {
    if (!isTracing()) return listener(request, response)
    const { method = '', headers } = request
    const span = beginSpan({
      name: method,
      kind: 'server',
      service,
      isRoot: true,
      attributes: {
        'http.request.method': method,
        'url.scheme': 'encrypted' in request.socket ? 'https' : 'http',
        'network.protocol.version': request.httpVersion,
      },
      parent: headers.traceparent,
    })
    response.once('close', () => {
      const { statusCode } = response
      span.note({ 'http.response.status_code': statusCode })
      if (!response.writableFinished) span.note({ 'error.type': 'client_left' })
      else if (statusCode >= serverFault) {
        span.note({ 'error.type': String(statusCode) })
        span.fail()
      }
      span.end()
    })
    return span.run(() => listener(request, response))
  }
}
