import { createServer } from 'node:http'
import { closeServer, listen } from '@berth/service'
import { afterEach, expect, test } from '@jest/globals'
import { createForward } from './forward.ts'

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

test('what proxies said of a client is handed on, with the address that the front sees behind it', async () => {
  const behind = await listen((request, response) => void response.end(request.headers['x-forwarded-for']), {
    port: 0,
    host: '127.0.0.1',
  })
  closing.push(() => closeServer(behind.server, 0))
  const front = createServer(createForward(behind.port))
  await new Promise<void>((resolve) => void front.listen(0, '127.0.0.1', resolve))
  closing.push(() => closeServer(front, 0))
  const { port } = front.address() as { port: number }
  const ask = async (headers: Record<string, string>) =>
    (await fetch(`http://127.0.0.1:${port}/`, { headers: { ...headers, connection: 'close' } })).text()
  expect(await ask({})).toBe('127.0.0.1')
  expect(await ask({ 'x-forwarded-for': '198.51.100.1, 203.0.113.9' })).toBe('198.51.100.1, 203.0.113.9, 127.0.0.1')
})
