import { AsyncLocalStorage } from 'node:async_hooks'
import { randomBytes } from 'node:crypto'
import { formatTraceparent, parseTraceparent, type TraceContext } from './trace-context.ts'

type Attributes = Record<string, string | number>

/** A span to begin. */
export type SpanStart = {
  name: string
  kind: 'server' | 'client' | 'consumer'
  /** Which of the services it is; that of the span around it unless set. */
  service?: string
  attributes?: Attributes
  /** The `traceparent` that it goes on from; what is being done at the moment unless set. What is none counts as no parent. */
  parent?: string | string[] | undefined
  /** Others that led to it. */
  links?: readonly string[]
  /** Without a parent it begins a trace, as often as the ratio says; else nothing is recorded then. */
  isRoot?: boolean
}

/** What is written down of one span. */
type Recording = {
  readonly context: TraceContext
  note(attributes: Attributes): void
  rename(name: string): void
  fail(): void
  end(): void
}

/** Writes spans down. */
export type Recorder = {
  /** The share of new traces that is recorded, from 0 to 1. */
  ratio: number
  begin(span: SpanStart & { service: string }, parent: TraceContext | undefined, links: TraceContext[]): Recording
}

type Place = { context: TraceContext; service: string; recording: Recording | undefined; endedAt: number | undefined }

const place = new AsyncLocalStorage<Place>()
// What goes on for longer after its request than such afterwork does is a loop that the request happened to start.
const afterworkMs = 60_000

let recorder: Recorder | undefined

/** Has spans written down from now on, or no more. */
export function recordSpans(by: Recorder | undefined): void {
  recorder = by
}

/** Whether any trace can be recorded; what costs something is asked for only then. */
export function isTracing(): boolean {
  return recorder !== undefined
}

function here(): Place | undefined {
  if (!recorder) return undefined
  const found = place.getStore()
  return found?.endedAt !== undefined && performance.now() - found.endedAt > afterworkMs ? undefined : found
}

/** The id of the trace that is being recorded. */
export function currentTraceId(): string | undefined {
  const context = here()?.context
  return context?.isSampled ? context.traceId : undefined
}

/** What is handed on to whoever goes on with what is being done: also that its trace is not recorded. */
export function currentTraceparent(): string | undefined {
  const found = here()
  return found && formatTraceparent(found.context)
}

/** The same, but nothing of a trace that is not recorded. */
export function recordedTraceparent(): string | undefined {
  return currentTraceId() === undefined ? undefined : currentTraceparent()
}

/** Says which route the request at hand takes, for the name of its span. */
export function noteRoute(method: string, route: string): void {
  const recording = here()?.recording
  recording?.rename(`${method} ${route}`)
  recording?.note({ 'http.route': route })
}

/** A span that was begun, or stands for one that is not recorded. */
export type Span = {
  /** Of a trace that is recorded. */
  readonly traceId: string | undefined
  /** Does what belongs to it. */
  run<T>(work: () => T): T
  note(attributes: Attributes): void
  fail(): void
  end(): void
}

const noSpan: Span = { traceId: undefined, run: (work) => work(), note: () => {}, fail: () => {}, end: () => {} }

/** Begins a span; its caller ends it. */
export function beginSpan(start: SpanStart): Span {
  if (!recorder) return noSpan
  const around = here()
  const parent = start.parent === undefined ? around?.context : parseTraceparent(start.parent)
  if (!parent && !start.isRoot) return noSpan
  const service = start.service ?? around?.service ?? 'berth'
  const isSampled = parent ? parent.isSampled : Math.random() < recorder.ratio
  if (!isSampled) return unrecorded(parent ?? { ...newIds(), isSampled }, service)
  const links = (start.links ?? []).flatMap((text) => parseTraceparent(text) ?? [])
  const recording = recorder.begin({ ...start, service }, parent, links)
  const { context } = recording
  const own: Place = { context, service, recording, endedAt: undefined }
  return {
    traceId: context.traceId,
    run: (work) => place.run(own, work),
    note: (attributes) => recording.note(attributes),
    fail: () => recording.fail(),
    end: () => {
      own.endedAt = performance.now()
      recording.end()
    },
  }
}

/** Hands on that the trace is not recorded, so that nobody decides it anew. */
function unrecorded(context: TraceContext, service: string): Span {
  const own: Place = { context, service, recording: undefined, endedAt: undefined }
  return { ...noSpan, run: (work) => place.run(own, work), end: () => void (own.endedAt = performance.now()) }
}

function newIds(): { traceId: string; spanId: string } {
  const hex = randomBytes(24).toString('hex')
  return { traceId: hex.slice(0, 32), spanId: hex.slice(32) }
}

/** Does something within a span; what it throws is noted as its kind and thrown on. */
export async function inSpan<T>(start: SpanStart, work: (span: Span) => Promise<T>): Promise<T> {
  if (!recorder) return work(noSpan)
  const span = beginSpan(start)
  try {
    return await span.run(() => work(span))
  } catch (error) {
    noteError(span, start.kind, error)
    throw error
  } finally {
    span.end()
  }
}

const serverFault = 500

// What a server refuses is no fault of its own; to whoever asked it is one (the semantic conventions of HTTP spans).
function noteError(span: Span, kind: SpanStart['kind'], error: unknown): void {
  const { status, name = 'Error' } = error as { status?: unknown; name?: string }
  const hasStatus = typeof status === 'number'
  span.note({
    'error.type': hasStatus ? String(status) : name,
    ...(hasStatus && { 'http.response.status_code': status }),
  })
  if (kind !== 'server' || !hasStatus || status >= serverFault) span.fail()
}
