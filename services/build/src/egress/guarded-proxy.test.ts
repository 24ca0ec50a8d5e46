import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { openProxy } from './guarded-proxy.ts'

describe('the way out of a build', () => {
  let folder: string
  let server: Server
  let port: number
  const asked: IncomingMessage[] = []
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'berth-egress-'))
    server = createServer((incoming, answer) => {
      asked.push(incoming)
      answer.end('from outside')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    port = (server.address() as AddressInfo).port
  })
  afterAll(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    expect(await readdir(folder)).toEqual([])
    await rm(folder, { recursive: true })
  })

  const withProxy = async (allowPrivateAddresses: boolean, use: (socket: string) => Promise<void>) => {
    const refused: string[] = []
    const proxy = await openProxy(folder, { allowPrivateAddresses, onRefused: (message) => refused.push(message) })
    try {
      await use(proxy.socket)
    } finally {
      await proxy.close()
    }
    return refused
  }
  const get = async (socketPath: string, url: string) => {
    const outgoing = request({
      socketPath,
      path: url,
      headers: { 'proxy-authorization': 'Basic x', te: 'trailers' },
    }).end()
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.once('response', resolve)
      outgoing.once('error', reject)
    })
    return { status: answer.statusCode, body: await text(answer) }
  }
  const connect = (socketPath: string, target: string) =>
    new Promise<{ status: number | undefined; socket: Duplex }>((resolve, reject) => {
      const outgoing = request({ socketPath, method: 'CONNECT', path: target }).end()
      outgoing.once('connect', (answer, socket) => resolve({ status: answer.statusCode, socket }))
      outgoing.once('error', reject)
    })

  test.each([
    'http://127.0.0.1:80/',
    'http://[::1]/',
    'http://10.0.0.1/',
    'http://169.254.169.254/latest/meta-data',
    'http://2130706433/',
    'http://0x7f.1/',
    'http://[::ffff:127.0.0.1]/',
    'http://localhost/',
    'http://example.org:25/',
    'http://user:password@example.org/',
    'ftp://example.org/',
    '/relative',
  ])('leads not to %s', async (url) => {
    const refused = await withProxy(false, async (socket) => {
      expect(await get(socket, url)).toMatchObject({ status: 403 })
    })
    expect(refused).toHaveLength(1)
    expect(refused[0]).not.toContain('remote')
  })

  test.each(['127.0.0.1:443', '[::1]:443', '169.254.169.254:80', 'localhost:443', 'example.org:22', 'no-port', ''])(
    'makes no tunnel to %j',
    async (target) => {
      await withProxy(false, async (socket) => {
        const { status, socket: tunnel } = await connect(socket, target || ' ').catch(() => ({
          status: 403,
          socket: undefined,
        }))
        tunnel?.destroy()
        expect(status).toBe(403)
      })
    },
  )

  test('passes requests on without what is for the proxy, and makes tunnels, to what may be reached', async () => {
    const refused = await withProxy(true, async (socket) => {
      expect(await get(socket, `http://127.0.0.1:${port}/a?b`)).toEqual({ status: 200, body: 'from outside' })
      const { status, socket: tunnel } = await connect(socket, `127.0.0.1:${port}`)
      expect(status).toBe(200)
      tunnel.end('GET /c HTTP/1.0\r\n\r\n')
      expect(await text(tunnel)).toContain('from outside')
      // Never, whatever is allowed.
      expect(await get(socket, 'http://169.254.169.254/')).toMatchObject({ status: 403 })
    })
    expect(asked.map(({ url }) => url)).toEqual(['/a?b', '/c'])
    expect(asked[0]?.headers).not.toHaveProperty('proxy-authorization')
    expect(refused).toEqual([expect.stringContaining('never asked')])
  })
})
