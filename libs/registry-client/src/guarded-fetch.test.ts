import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test } from '@jest/globals'
import { createGuardedFetch, type GuardedFetchOptions } from './guarded-fetch.ts'

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
})

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const open = { allowPrivateAddresses: true, allowHttp: true, limitBytes: 1_000, withinMs: 500 }
const fetchOf = (url: string, more: Partial<GuardedFetchOptions> = {}) =>
  createGuardedFetch({ origin: new URL(url), ...open, ...more })

test('a form goes out and the whole answer comes back', async () => {
  const url = await serve((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += String(chunk)
    })
    request.on('end', () => response.writeHead(201, { 'x-seen': request.headers.authorization }).end(body))
  })
  const answer = await fetchOf(url)(`${url}/token`, {
    method: 'POST',
    headers: new Headers({ authorization: 'Basic abc' }),
    body: new URLSearchParams({ code: 'a b' }),
  })
  expect([answer.status, answer.headers.get('x-seen'), await answer.text()]).toEqual([201, 'Basic abc', 'code=a+b'])
})

test.each([
  ['a private address', { allowPrivateAddresses: false }, 'address_refused'],
  ['http', { allowHttp: false }, 'protocol'],
])('%s is not asked unless that is allowed', async (_what, more, code) => {
  let asked = 0
  const url = await serve((_request, response) => {
    asked += 1
    response.end()
  })
  await expect(fetchOf(url, more)(url)).rejects.toMatchObject({ code })
  expect(asked).toBe(0)
})

test('addresses at which clouds give out credentials are never asked, by a redirect neither', async () => {
  const url = await serve((_request, response) =>
    response.writeHead(302, { location: 'http://169.254.169.254/' }).end(),
  )
  await expect(fetchOf(url)(url)).rejects.toMatchObject({ code: 'address_refused' })
  await expect(fetchOf(url)('http://169.254.169.254/')).rejects.toMatchObject({ code: 'address_refused' })
})

describe('what never ends', () => {
  test('an answer that is larger than its limit is given up', async () => {
    const url = await serve((_request, response) => response.end('x'.repeat(4 << 20)))
    await expect(fetchOf(url)(url)).rejects.toMatchObject({
      code: 'protocol',
      message: expect.stringContaining('1000'),
    })
  })

  test.each<[string, RequestListener]>([
    ['says nothing', () => undefined],
    [
      'sends a byte now and then',
      (_request, response) => {
        const timer = setInterval(() => response.write('x'), 50)
        response.on('close', () => clearInterval(timer))
      },
    ],
  ])('a server that %s is given up in time', async (_what, listener) => {
    const url = await serve(listener)
    const begun = performance.now()
    await expect(fetchOf(url)(url)).rejects.toMatchObject({ code: 'timeout' })
    expect(performance.now() - begun).toBeLessThan(3_000)
  })
})
