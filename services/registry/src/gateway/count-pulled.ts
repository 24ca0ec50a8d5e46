import type { IncomingMessage, ServerResponse } from 'node:http'
import { Counter, type Metrics } from '@berth/service'

/** Counts the bytes of manifests and blobs that went out, whole or in ranges, once their last one did. */
export function createPullCounter({
  registry,
}: Metrics): (route: string, request: IncomingMessage, response: ServerResponse) => void {
  const bytes = new Counter({
    name: 'berth_pulled_bytes_total',
    help: 'Bytes of manifests and blobs that clients were sent to the end.',
    labelNames: ['kind'],
    registers: [registry],
  })
  const series = {
    manifest: bytes.labels({ kind: 'manifest' }),
    blob: bytes.labels({ kind: 'blob' }),
  }
  return (route, { method }, response) => {
    if (method !== 'GET' || !response.writableFinished || response.statusCode > 206) return
    if (route === 'manifest' || route === 'blob') series[route].inc(Number(response.getHeader('content-length') ?? 0))
  }
}
