import { hostname } from 'node:os'
import type { SpanContext, Tracer } from '@opentelemetry/api'
import type { SpanExporter } from '@opentelemetry/sdk-trace'
import { type Recorder, recordSpans } from './spans.ts'
import type { TraceContext } from './trace-context.ts'

type Lost = (lost: { spans: number; error: Error | undefined }) => void

const queuedSpans = 4_096
const batchSpans = 512
const everyMs = 2_000
const exportTimeoutMs = 5_000
const toldEveryMs = 300_000
const stopWithinMs = 2_000
// ExportResultCode.SUCCESS of a package that is not loaded for it.
const sent = 0

/**
 * Has spans recorded and sent in batches to a collector that speaks OTLP over HTTP. Nobody waits for it: what it does not take is lost,
 * and `onLost` hears of it, once in five minutes at most. `stop` sends what is left, for two seconds at most. The packages of
 * OpenTelemetry are loaded here and nowhere else; throws when they are not there.
 */
export async function startRecording(options: {
  endpoint: string
  ratio: number
  version: string
  onLost: Lost
}): Promise<{ stop(): Promise<void> }> {
  const { endpoint, ratio, version } = options
  const [api, sdk, { resourceFromAttributes }, { OTLPTraceExporter }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/resources'),
    import('@opentelemetry/exporter-trace-otlp-http'),
  ])
  const kinds = { server: api.SpanKind.SERVER, client: api.SpanKind.CLIENT, consumer: api.SpanKind.CONSUMER }
  const exporter = new OTLPTraceExporter({
    url: `${endpoint}/v1/traces`,
    timeoutMillis: exportTimeoutMs,
    // At the stop all batches go at once, and what is above the limit is lost.
    concurrencyLimit: (2 * queuedSpans) / batchSpans,
  })
  const processor = new sdk.BatchSpanProcessor({
    exporter: telling(exporter, options.onLost),
    maxQueueSize: queuedSpans,
    maxExportBatchSize: batchSpans,
    scheduledDelayMillis: everyMs,
    exportTimeoutMillis: exportTimeoutMs * 2,
  })

  // Of each service, for the standalone stack has all of them in one process.
  const tracers = new Map<string, Tracer>()
  const tracerOf = (service: string): Tracer => {
    const known = tracers.get(service)
    if (known) return known
    const resource = resourceFromAttributes({
      'service.name': `berth-${service}`,
      'service.namespace': 'berth',
      'service.version': version,
      'service.instance.id': `${hostname()}-${process.pid}`,
    })
    // Which traces are recorded is decided before (spans.ts).
    const sampler = new sdk.AlwaysOnSampler()
    const tracer = new sdk.TracerProvider({ resource, sampler, spanProcessors: [processor] }).getTracer(
      'berth',
      version,
    )
    tracers.set(service, tracer)
    return tracer
  }
  const remote = ({ traceId, spanId }: TraceContext): SpanContext => ({
    traceId,
    spanId,
    traceFlags: api.TraceFlags.SAMPLED,
    isRemote: true,
  })

  const recorder: Recorder = {
    ratio,
    begin: ({ name, kind, service, attributes = {} }, parent, links) => {
      const around = parent ? api.trace.setSpanContext(api.ROOT_CONTEXT, remote(parent)) : api.ROOT_CONTEXT
      const more = { kind: kinds[kind], attributes, links: links.map((link) => ({ context: remote(link) })) }
      const span = tracerOf(service).startSpan(name, more, around)
      const { traceId, spanId } = span.spanContext()
      return {
        context: { traceId, spanId, isSampled: true },
        note: (noted) => void span.setAttributes(noted),
        rename: (newName) => void span.updateName(newName),
        fail: () => void span.setStatus({ code: api.SpanStatusCode.ERROR }),
        end: () => span.end(),
      }
    },
  }
  recordSpans(recorder)
  return {
    stop: async () => {
      recordSpans(undefined)
      const { promise: late, resolve } = Promise.withResolvers<void>()
      const timer = setTimeout(resolve, stopWithinMs)
      // One batch that is lost, of which the exporter has told, does not end the others.
      const sending = processor.shutdown().catch(() => exporter.shutdown())
      await Promise.race([sending, late])
      clearTimeout(timer)
    },
  }
}

/** An exporter that tells what it could not send, and not each time. */
function telling(exporter: SpanExporter, onLost: Lost): SpanExporter {
  let lost = 0
  let toldAt = Number.NEGATIVE_INFINITY
  return {
    export: (spans, done) =>
      exporter.export(spans, (result) => {
        const code: number = result.code
        if (code !== sent) {
          lost += spans.length
          if (performance.now() - toldAt > toldEveryMs) {
            onLost({ spans: lost, error: result.error })
            toldAt = performance.now()
            lost = 0
          }
        }
        done(result)
      }),
    shutdown: () => exporter.shutdown(),
    ...(exporter.forceFlush && { forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve() }),
  }
}
