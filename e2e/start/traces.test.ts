import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { imageOf, startMisbehavingUpstream } from '@berth/registry-client/misbehaving-upstream'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { embeddedNats, readMessages } from '../berth/events.ts'
import { until } from '../berth/processes.ts'
import { pushManifest, pushRandomImage } from '../berth/push.ts'
import { basic, localRemote, make } from '../berth/requests.ts'
import { startTestStack, type TestStack } from '../berth/stack.ts'
import { type ReceivedSpan, startTraceReceiver } from '../servers/trace-receiver.ts'

type Receiver = Awaited<ReturnType<typeof startTraceReceiver>>

const newTrace = () => ({ traceId: randomBytes(16).toString('hex'), spanId: randomBytes(8).toString('hex') })
const manifestOf = async (stack: TestStack, repository: string) =>
  (await pushRandomImage({ url: stack.url, authorization: basic(stack) }, repository, 'first')).text

describe('with a collector and the ratio 0', () => {
  let receiver: Receiver
  let stack: TestStack
  beforeAll(async () => {
    receiver = await startTraceReceiver()
    const env = { BERTH_OTLP_ENDPOINT: receiver.url, BERTH_TRACE_RATIO: '0' }
    stack = await startTestStack({ env })
  }, 90_000)
  afterAll(async () => {
    await stack.stop()
    await receiver.close()
  }, 60_000)

  test('a push and a sync of one caller are one trace through registry, catalog, their events, tasks, sync and the upstream; nothing else is sent', async () => {
    const upstream = await startMisbehavingUpstream()
    try {
      upstream.add('app', 'v1', imageOf('traced', 500))
      await make(stack, '/remotes', localRemote('up', upstream.url, 'app'))
      await make(stack, '/repositories', { name: 'synced' })
      const text = await manifestOf(stack, 'pushed/app')
      const { traceId, spanId } = newTrace()
      const traceparent = `00-${traceId}-${spanId}-01`
      const headers = { authorization: basic(stack), traceparent }

      const put = await fetch(`${stack.url}/v2/pushed/app/manifests/second`, {
        method: 'PUT',
        headers: { ...headers, 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
        body: text,
      })
      expect(put.status).toBe(201)
      const started = await fetch(`${stack.url}/api/v1/syncs`, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify({ repository: 'synced', remote: 'up', mode: 'additive' }),
      })
      const { id } = (await started.json()) as { id: string }
      expect((await stack.waitForTask(id)).state).toBe('completed')

      const wanted: [string, RegExp][] = [
        ['berth-registry', /^PUT \/v2\/\{name\}\/manifests\/\{reference\}$/],
        ['berth-registry', /^POST \/internal\/catalog\//],
        ['berth-catalog', /^POST \/internal\/catalog\//],
        ['berth-registry', /^process dev\.berth\.catalog\./],
        ['berth-tasks', /^process dev\.berth\.catalog\./],
        ['berth-sync', /^POST \/api\/v1\/syncs$/],
        ['berth-tasks', /^POST \/internal\/tasks\/create-task$/],
        ['berth-sync', /^process sync$/],
        ['berth-sync', /^(GET|HEAD)$/],
      ]
      const missing = () => wanted.filter(([service, name]) => !receiver.spans.some(isOf(service, name)))
      await until('all spans have come', () => missing().length === 0, 20_000).catch(() =>
        expect(missing()).toEqual([]),
      )
      const orphans = () => {
        const ids = new Set([spanId, ...receiver.spans.map((span) => span.spanId)])
        return receiver.spans.filter(({ parentSpanId = '' }) => !ids.has(parentSpanId)).map(({ name }) => name)
      }
      await until('each span has come with its parent', () => orphans().length === 0, 10_000).catch(() =>
        expect(orphans()).toEqual([]),
      )
      expect(new Set(receiver.spans.map((span) => span.traceId))).toEqual(new Set([traceId]))

      const request = receiver.spans.find(isOf('berth-registry', /^PUT \/v2/))
      expect(request?.attributes).toMatchObject({
        'http.request.method': 'PUT',
        'http.route': '/v2/{name}/manifests/{reference}',
      })
      expect(JSON.stringify(receiver.spans)).not.toMatch(/pushed\/app|synced|correct horse|[?]/)
      const lines = () =>
        readFileSync(path.join(stack.home, 'berth.log'), 'utf8')
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line))
      await until('the log names the trace', async () =>
        lines().some((line) => line.traceId === traceId && line.requestId),
      )
      const inHeaders = await readMessages(embeddedNats(stack.home), 'CATALOG', 'berth.v1.catalog.', ({ headers }) =>
        headers?.get('traceparent').slice(3, 35),
      )
      expect(inHeaders).toContain(traceId)
      expect(upstream.seen.filter((seen) => JSON.stringify(seen).includes(traceId))).toEqual([])
    } finally {
      await upstream.close()
    }
  }, 90_000)

  test('those who watch events hear nothing of a trace', async () => {
    const leaving = new AbortController()
    const headers = { authorization: basic(stack) }
    const answer = await fetch(`${stack.url}/api/v1/events?after=0`, { headers, signal: leaving.signal })
    let text = ''
    for await (const chunk of answer.body ?? []) {
      text += Buffer.from(chunk as Uint8Array).toString()
      if (text.includes('sync.run.completed')) break
    }
    leaving.abort()
    expect(text).not.toContain('traceparent')
  })
})

function isOf(service: string, name: RegExp): (span: ReceivedSpan) => boolean {
  return (span) => span.service === service && name.test(span.name)
}

test('a collector that answers nothing delays neither a request nor the stop', async () => {
  const receiver = await startTraceReceiver({ hangs: true })
  const stack = await startTestStack({ env: { BERTH_OTLP_ENDPOINT: receiver.url, BERTH_TRACE_RATIO: '1' } })
  try {
    const text = await manifestOf(stack, 'slow/app')
    await until('spans are being sent', () => receiver.requests() > 0)
    const startedAt = performance.now()
    const target = { url: stack.url, authorization: basic(stack) }
    await pushManifest(target, 'slow/app', 'more', text, 'application/vnd.oci.image.manifest.v1+json')
    expect(performance.now() - startedAt).toBeLessThan(4_000)
    const { code, durationMs } = await stack.kill('SIGTERM')
    expect(code).toBe(0)
    expect(durationMs).toBeLessThan(10_000)
  } finally {
    await stack.stop()
    await receiver.close()
  }
}, 90_000)
