import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { connect, type Socket } from 'node:net'
import { afterEach, expect, test } from '@jest/globals'
import { type ClientLimits, usualClientLimits } from './client-guard.ts'
import { createMetrics } from './metrics.ts'
import { closeServer, listen } from './service.ts'
import { until } from './testing/until.ts'

const closing: (() => Promise<void> | void)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const patience = { leastBytesPerSecond: 100_000, windowMs: 600, stillMs: 2_000, stillWhileBusyMs: 200 }
const big = Buffer.alloc(64 << 20)

/** Answers GET with 64 MiB, and PUT once its body is there. */
const listener: RequestListener = (request, response) => {
  if (request.method === 'GET') response.end(big)
  else request.resume().on('end', () => response.end('taken'))
}

async function start(limits: Partial<ClientLimits>, trustedProxies: string[] = []) {
  const metrics = createMetrics()
  const { server, port } = await listen(listener, {
    port: 0,
    host: '127.0.0.1',
    trustedProxies,
    guard: { limits: { patience, lookEveryMs: 50, mostConnections: 100, mostOfOne: 100, ...limits }, metrics },
  })
  closing.push(() => closeServer(server, 0))
  const open = (text: string) => {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined)
    closing.push(() => void socket.destroy())
    socket.write(text)
    return socket
  }
  const ended = async (reason: string) => {
    const line = (await metrics.text()).split('\n').find((one) => one.includes(`ended_total{reason="${reason}"}`))
    return Number(line?.split(' ').at(-1) ?? 0)
  }
  return {
    port,
    open,
    ended,
    isCut: (count: number, reason: string) => until(async () => (await ended(reason)) >= count),
  }
}

const get = 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
const put = 'PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n'
const every = (ms: number, work: () => void) => {
  const timer = setInterval(work, ms)
  closing.push(() => clearInterval(timer))
}

test('connections are limited to 80 % of the descriptors and never above 10,000, a quarter of that from one address', () => {
  expect(usualClientLimits(1_024)).toMatchObject({ mostConnections: 819, mostOfOne: 204 })
  expect(usualClientLimits(524_288)).toMatchObject({ mostConnections: 10_000, mostOfOne: 2_500 })
})

test('a reader that does not read and a writer that does not write are cut, sooner while many are there', async () => {
  const { open, isCut, ended } = await start({})
  open(get).pause()
  open(put)
  await isCut(2, 'still')
  expect(await ended('slow')).toBe(0)
  const busy = await start({ mostConnections: 3 })
  const begun = performance.now()
  open(get)
  busy.open(get).pause()
  busy.open(put)
  await busy.isCut(2, 'still')
  expect(performance.now() - begun).toBeLessThan(patience.stillMs)
})

test('a reader and a writer below the least rate are cut', async () => {
  const { open, isCut, ended } = await start({})
  const writer = open(put)
  every(100, () => writer.write('x'))
  const reader = open(get)
  reader.pause()
  every(100, () => reader.read(10))
  await isCut(1, 'slow')
  expect(await ended('still')).toBe(0)
})

test('a reader that pauses between fast stretches is left alone, and so is one whose answer takes long', async () => {
  const { open, ended } = await start({})
  const reader = open(get)
  // As containerd does while it unpacks.
  reader.on('data', () => undefined)
  await once(reader, 'data')
  reader.pause()
  setTimeout(() => reader.resume(), patience.windowMs * 2)
  let heard = 0
  reader.on('data', (data: Buffer) => (heard += data.length))
  await until(async () => heard > big.length - (8 << 20))
  expect(reader.destroyed).toBe(false)
  expect([await ended('slow'), await ended('still')]).toEqual([0, 0])
})

test('above the limit of one address its connections get 503 with Retry-After, and those of a proxy do not', async () => {
  const statusOf = async (socket: Socket) => {
    const [data] = (await once(socket, 'data')) as [Buffer]
    return data.toString('latin1').split('\r\n\r\n')[0] ?? ''
  }
  const limited = await start({ mostOfOne: 10 })
  const first = Array.from({ length: 10 }, () => limited.open(put))
  await until(async () => first.every((socket) => !socket.connecting))
  const refused = await statusOf(limited.open(get))
  expect(refused).toMatch(/^HTTP\/1\.1 503 /)
  expect(refused).toMatch(/\r\nretry-after: \d+/i)
  first[0]?.destroy()
  await until(async () => {
    const socket = limited.open(get)
    const head = await statusOf(socket)
    socket.destroy()
    return head.startsWith('HTTP/1.1 200 ')
  })
  const proxied = await start({ mostOfOne: 1 }, ['127.0.0.0/8'])
  for (let n = 0; n < 5; n++) expect(await statusOf(proxied.open(get))).toMatch(/^HTTP\/1\.1 200 /)
  const full = await start({ mostConnections: 1 }, ['127.0.0.0/8'])
  full.open(put)
  expect(await statusOf(full.open(get))).toMatch(/^HTTP\/1\.1 (503|200) /)
})
