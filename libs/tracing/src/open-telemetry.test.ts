import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from '@jest/globals'
import { startRecording } from './open-telemetry.ts'
import { beginSpan } from './spans.ts'

let close = async () => {}
afterEach(() => close())

/** A collector that answers as it is told; answers its URL. */
async function serve(answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  close = async () => {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function makeSpans(count: number): void {
  for (let i = 0; i < count; i++) beginSpan({ name: 'GET', kind: 'server', service: 'registry', isRoot: true }).end()
}

test('a collector that refuses is told of once, with how many spans were lost, and not for each batch', async () => {
  let batches = 0
  const endpoint = await serve((request, response) => {
    batches++
    request.resume().on('end', () => response.writeHead(400).end())
  })
  const told: number[] = []
  const recording = await startRecording({ endpoint, ratio: 1, version: '0', onLost: ({ spans }) => told.push(spans) })
  makeSpans(1_600)
  await recording.stop()
  expect(batches).toBeGreaterThan(1)
  expect(told).toHaveLength(1)
})

test('what is left when a program stops is given two seconds, and what is too much was never kept', async () => {
  let batches = 0
  const endpoint = await serve(() => void batches++)
  const recording = await startRecording({ endpoint, ratio: 1, version: '0', onLost: () => {} })
  makeSpans(20_000)
  const startedAt = performance.now()
  await recording.stop()
  const tookMs = performance.now() - startedAt
  expect(tookMs).toBeGreaterThan(1_000)
  expect(tookMs).toBeLessThan(4_000)
  expect(batches).toBeLessThanOrEqual(9)
})

test('without a collector nothing of OpenTelemetry is loaded', () => {
  const program = `
    import { registerHooks } from 'node:module'
    const seen = []
    registerHooks({ resolve: (name, context, next) => { if (name.startsWith('@opentelemetry/')) seen.push(name); return next(name, context) } })
    const { startRecording } = await import(${JSON.stringify(new URL('index.ts', import.meta.url).href)})
    console.log(seen.length)
    await startRecording({ endpoint: 'http://127.0.0.1:1', ratio: 0, version: '0', onLost: () => {} })
    console.log(seen.length > 0)
    process.exit()`
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
    encoding: 'utf8',
  })
  expect([stdout, stderr]).toEqual(['0\ntrue\n', expect.anything()])
})
