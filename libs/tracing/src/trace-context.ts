/** Where in which trace something happens, and whether that trace is recorded. */
export type TraceContext = { traceId: string; spanId: string; isSampled: boolean }

const form = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const nothing = /^0+$/
const sampledFlag = 1

/** Reads a header `traceparent` (https://www.w3.org/TR/trace-context/#traceparent-header); `undefined` for what is none. */
export function parseTraceparent(text: unknown): TraceContext | undefined {
  const found = typeof text === 'string' ? form.exec(text) : null
  if (!found) return undefined
  const [, version, traceId = '', spanId = '', flags = '', more] = found
  // Only a later version may say more.
  if (version === '00' && more !== undefined) return undefined
  if (nothing.test(traceId) || nothing.test(spanId)) return undefined
  return { traceId, spanId, isSampled: (Number.parseInt(flags, 16) & sampledFlag) !== 0 }
}

/** The same as text. */
export function formatTraceparent({ traceId, spanId, isSampled }: TraceContext): string {
  return `00-${traceId}-${spanId}-${isSampled ? '01' : '00'}`
}
