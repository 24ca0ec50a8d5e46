import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, expect, test } from '@jest/globals'
import { postGuarded } from './post-guarded.ts'

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

async function serve(listener: RequestListener): Promise<URL> {
  const server = createServer(listener)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
}

const neverAborted = new AbortController().signal
const post = (url: URL, more: Partial<Parameters<typeof postGuarded>[0]> = {}) =>
  postGuarded({
    url,
    headers: { 'content-type': 'application/json' },
    body: '{}',
    allowPrivateAddresses: true,
    withinMs: 300,
    keptBytes: 10,
    signal: neverAborted,
    ...more,
  })

test('of an endless answer what is kept comes back, and any status', async () => {
  const url = await serve((_request, response) => {
    response.writeHead(500)
    const more = setInterval(() => response.write('x'.repeat(7)), 1)
    response.on('close', () => clearInterval(more))
  })
  expect(await post(url)).toMatchObject({ status: 500, body: 'xxxxxxxxxx' })
})

test('a receiver that hangs, or gives its answer byte by byte, is waited for no longer than said', async () => {
  const hangs = await serve(() => undefined)
  await expect(post(hangs)).rejects.toMatchObject({ code: 'timeout' })
  const drips = await serve((_request, response) => {
    response.writeHead(200)
    const more = setInterval(() => response.write('x'), 100)
    response.on('close', () => clearInterval(more))
  })
  await expect(post(drips)).rejects.toMatchObject({ code: 'timeout' })
})

test('no redirect is followed, and no private address is asked unless that is allowed, found by a name neither', async () => {
  let asked = 0
  const url = await serve((request, response) => {
    asked += 1
    response.writeHead(request.url === '/' ? 307 : 200, { location: '/elsewhere' }).end()
  })
  expect(await post(url)).toMatchObject({ status: 307 })
  expect(asked).toBe(1)
  await expect(post(url, { allowPrivateAddresses: false })).rejects.toMatchObject({ code: 'address_refused' })
  const byName = new URL(url)
  byName.hostname = 'localhost'
  await expect(post(byName, { allowPrivateAddresses: false })).rejects.toMatchObject({ code: 'address_refused' })
  await expect(post(new URL('http://169.254.169.254/'))).rejects.toMatchObject({ code: 'address_refused' })
  expect(asked).toBe(1)
})

test('an error names the host, and never the path or the query, which may be secret', async () => {
  const breaksOff = await serve((request) => request.socket.destroy())
  const url = new URL('/services/of-the-team?key=of-the-team', breaksOff)
  const error: unknown = await post(url).catch((caught: unknown) => caught)
  expect(error).toMatchObject({ code: 'unavailable', message: expect.stringContaining(url.host) })
  expect(String(error)).not.toContain('of-the-team')
})
