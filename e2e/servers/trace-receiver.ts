import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'

/** A span as a collector gets it, with the service that it is of. */
export type ReceivedSpan = {
  service: string
  name: string
  traceId: string
  spanId: string
  parentSpanId?: string
  attributes: Record<string, unknown>
}
type Value = { stringValue?: string; intValue?: number | string }
type Sent = {
  resourceSpans: {
    resource: { attributes: { key: string; value: Value }[] }
    scopeSpans: {
      spans: (Omit<ReceivedSpan, 'attributes' | 'service'> & { attributes: { key: string; value: Value }[] })[]
    }[]
  }[]
}
const toRecord = (attributes: { key: string; value: Value }[]) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue]))

/** A collector that keeps what it gets in memory, or with `hangs` takes everything and answers nothing. */
export async function startTraceReceiver({ hangs = false } = {}) {
  const spans: ReceivedSpan[] = []
  let requests = 0
  const keep = ({ resourceSpans }: Sent) => {
    for (const { resource, scopeSpans } of resourceSpans) {
      const service = String(toRecord(resource.attributes)['service.name'])
      for (const scope of scopeSpans)
        spans.push(...scope.spans.map((span) => ({ ...span, service, attributes: toRecord(span.attributes) })))
    }
  }
  const server = createServer((request, response) => {
    requests++
    if (hangs) return
    json(request).then(
      (sent) => {
        keep(sent as Sent)
        response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
      },
      () => response.destroy(),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    requests: () => requests,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
