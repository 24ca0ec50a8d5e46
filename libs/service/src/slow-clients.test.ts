import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { closeServer, listen } from './service.ts'

const headersTimeoutMs = 500

describe('clients that are slow', () => {
  let listening: Awaited<ReturnType<typeof listen>>
  beforeAll(async () => {
    const echo: Parameters<typeof listen>[0] = (request, response) => {
      text(request).then(
        (body) => response.end(body),
        () => response.destroy(),
      )
    }
    listening = await listen(echo, { port: 0, host: '127.0.0.1', headersTimeoutMs })
  })
  afterAll(() => closeServer(listening.server, 0))

  const open = () => connect(listening.port, '127.0.0.1')
  /** All that the server says until it closes. */
  const heard = async (socket: Socket) => {
    let said = ''
    socket.setEncoding('utf8').on('data', (data: string) => (said += data))
    // A write into a socket that was cut is an error too, and says no more than the end does.
    await new Promise<void>((resolve) => void socket.on('error', () => undefined).on('close', () => resolve()))
    return said
  }
  /** Sends pieces, one after the other with a pause, while there is somebody who listens. */
  const drip = (socket: Socket, pieces: string[], everyMs: number) => {
    const timer = setInterval(() => {
      const piece = pieces.shift()
      if (piece === undefined || socket.destroyed) clearInterval(timer)
      else socket.write(piece)
    }, everyMs)
  }

  test('a hundred that never end their headers are told 408 and cut, and others are answered meanwhile', async () => {
    const begun = performance.now()
    const ends = Array.from({ length: 100 }, () => {
      const socket = open()
      socket.write('GET / HTTP/1.1\r\nHost: x\r\n')
      drip(
        socket,
        Array.from({ length: 1_000 }, (_, i) => `X-${i}: y\r\n`),
        50,
      )
      return heard(socket)
    })
    const answer = await fetch(`http://127.0.0.1:${listening.port}/`, { method: 'POST', body: 'meanwhile' })
    expect(await answer.text()).toBe('meanwhile')
    for (const said of await Promise.all(ends)) expect(said).toMatch(/^HTTP\/1\.1 408 /)
    expect(performance.now() - begun).toBeLessThan(10 * headersTimeoutMs)
  })

  test('a body may take longer than headers may', async () => {
    const socket = open()
    socket.write('PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 20\r\n\r\n')
    drip(socket, Array<string>(20).fill('.'), (2 * headersTimeoutMs) / 20)
    expect(await heard(socket)).toMatch(/^HTTP\/1\.1 200 [^]*\.{20}$/)
  })
})
