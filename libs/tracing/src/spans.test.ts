import { afterEach, expect, test } from '@jest/globals'
import {
  beginSpan,
  currentTraceId,
  currentTraceparent,
  inSpan,
  type Recorder,
  recordedTraceparent,
  recordSpans,
} from './spans.ts'

const traceparent = (flags: string) => `00-${'a'.repeat(32)}-${'b'.repeat(16)}-${flags}`
const server = { name: 'GET', kind: 'server', service: 'registry', isRoot: true } as const

/** Records into a list, with the ids of the parent. */
function record(ratio: number): { name: string; service: string; parent: string | undefined }[] {
  const seen: { name: string; service: string; parent: string | undefined }[] = []
  let spans = 0
  const begin: Recorder['begin'] = ({ name, service }, parent) => {
    spans++
    seen.push({ name, service, parent: parent?.spanId })
    const traceId = parent?.traceId ?? 'c'.repeat(32)
    const context = { traceId, spanId: String(spans).padStart(16, '0'), isSampled: true }
    return { context, note: () => {}, rename: () => {}, fail: () => {}, end: () => {} }
  }
  recordSpans({ ratio, begin })
  return seen
}
afterEach(() => recordSpans(undefined))

test('without a recorder there are no traces, whatever a caller sends', () => {
  beginSpan({ ...server, parent: traceparent('01') }).run(() => expect(currentTraceparent()).toBeUndefined())
})

test('what the caller decided is kept, whatever the ratio', () => {
  const seen = record(0)
  beginSpan({ ...server, parent: traceparent('01') }).run(() => expect(currentTraceId()).toBe('a'.repeat(32)))
  expect(seen).toEqual([{ name: 'GET', service: 'registry', parent: 'b'.repeat(16) }])
  const none = record(1)
  beginSpan({ ...server, parent: traceparent('00') }).run(() => {
    expect(currentTraceparent()).toBe(traceparent('00'))
    expect([currentTraceId(), recordedTraceparent()]).toEqual([undefined, undefined])
  })
  expect(none).toEqual([])
})

test('without a parent the ratio decides, once for all that follows', async () => {
  const seen = record(0)
  await beginSpan(server).run(() => {
    expect(currentTraceparent()).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)
    return inSpan({ name: 'within', kind: 'client' }, async () => expect(currentTraceId()).toBeUndefined())
  })
  expect(seen).toEqual([])
  const all = record(1)
  await beginSpan({ ...server, parent: 'no such thing' }).run(() =>
    inSpan({ name: 'in', kind: 'client' }, async () => {}),
  )
  expect(all).toEqual([
    { name: 'GET', service: 'registry', parent: undefined },
    { name: 'in', service: 'registry', parent: '1'.padStart(16, '0') },
  ])
})

test('what only goes on in a trace begins none', async () => {
  const seen = record(1)
  await inSpan({ name: 'alone', kind: 'client' }, async () => expect(currentTraceparent()).toBeUndefined())
  expect(seen).toEqual([])
})
