import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { version } from './version.ts'

export { Counter, Gauge, Histogram } from 'prom-client'

type RequestObservation = { route: string; method: string; code: number; seconds: number }

/** The metrics of one process, in Prometheus' text form. */
export type Metrics = {
  readonly registry: Registry
  /** Counts a request to a service that has begun; what it answers is told how it ended, once. */
  requestBegins(service: string): (ended: RequestObservation) => void
  text(): Promise<string>
}

const methods = new Set(['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS'])

/** Makes the metrics of a process. `defaults` adds what Node itself has to say (event loop, heap, GC). */
export function createMetrics(options: { defaults?: boolean } = {}): Metrics {
  const registry = new Registry()
  const build = new Gauge({
    name: 'berth_build_info',
    help: 'Always 1; the label says which version runs.',
    labelNames: ['version'],
    registers: [registry],
  })
  build.set({ version }, 1)
  if (options.defaults) collectDefaultMetrics({ register: registry, prefix: 'berth_' })
  const requests = new Histogram({
    name: 'berth_http_request_duration_seconds',
    help: 'Time from a request to the end of its answer.',
    labelNames: ['service', 'route', 'method', 'code'],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
    registers: [registry],
  })
  const open = new Gauge({
    name: 'berth_http_in_flight',
    help: 'Requests that are being answered.',
    labelNames: ['service'],
    registers: [registry],
  })
  // Finding the series by its labels costs more than counting; there are few of them, for methods are bounded.
  const series = new Map<string, { observe: (seconds: number) => void }>()
  return {
    registry,
    requestBegins: (service) => {
      open.inc({ service })
      return ({ route, method: given, code, seconds }) => {
        open.dec({ service })
        const method = methods.has(given) ? given : 'other'
        const key = `${service} ${route} ${method} ${code}`
        let known = series.get(key)
        if (!known) {
          known = requests.labels({ service, route, method, code })
          series.set(key, known)
        }
        known.observe(seconds)
      }
    },
    text: () => registry.metrics(),
  }
}
