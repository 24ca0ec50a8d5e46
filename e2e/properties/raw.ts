import { connect, type Socket } from 'node:net'
import { inertHeaders } from '@berth/service'
import { expect } from '@jest/globals'

/** An answer as it came over the wire. A status of 0: the connection was closed without one. */
export type RawReply = { status: number; headers: Record<string, string>; body: Buffer; durationMs: number }

export type RawRequest = {
  method: string
  /** Sent as it is, whatever it holds. */
  target: string
  headers?: Record<string, string>
  body?: Buffer
  /** Leaves after so many bytes of the body, without a word. */
  leaveAfterBytes?: number
  /** Reads nothing before all is sent, as simple clients do. */
  readsLast?: boolean
}

/** Longer than any answer may take: what is slower than this hangs. */
export const boundMs = 5_000

/** Sends one request on a connection of its own, byte for byte, and reads until the other side closes. */
export function sendRaw(url: string, request: RawRequest): Promise<RawReply> {
  const { hostname, port } = new URL(url)
  const { method, target, headers = {}, body = Buffer.alloc(0), leaveAfterBytes } = request
  const lines = Object.entries({ host: `${hostname}:${port}`, connection: 'close', ...headers })
  const head = `${method} ${target} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
  return new Promise((resolve) => {
    const begun = performance.now()
    const socket = connect(Number(port), hostname)
    const chunks: Buffer[] = []
    const late = setTimeout(() => socket.destroy(), 2 * boundMs)
    socket.on('data', (chunk) => chunks.push(chunk))
    // A server that has answered may close while we still send.
    socket.on('error', () => undefined)
    socket.on('close', () => {
      clearTimeout(late)
      resolve(parse(Buffer.concat(chunks), performance.now() - begun))
    })
    // Not utf8: a byte in the request is a byte on the wire.
    socket.write(Buffer.from(head, 'latin1'))
    if (request.readsLast) sendPieces(socket, body)
    else if (leaveAfterBytes === undefined) socket.write(body)
    else socket.write(body.subarray(0, leaveAfterBytes), () => socket.destroy())
  })
}

const pieceBytes = 1 << 20

/** Sends piece after piece, each once the one before is on its way, and only then begins to read. */
function sendPieces(socket: Socket, body: Buffer): void {
  socket.pause()
  const sendFrom = (at: number) => {
    if (at < body.length) socket.write(body.subarray(at, at + pieceBytes), () => sendFrom(at + pieceBytes))
    else socket.resume()
  }
  sendFrom(0)
}

function parse(bytes: Buffer, durationMs: number): RawReply {
  const end = bytes.indexOf('\r\n\r\n')
  const [first = '', ...lines] = bytes.subarray(0, Math.max(0, end)).toString('latin1').split('\r\n')
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  )
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1] ?? 0)
  return { status, headers, body: bytes.subarray(end + 4), durationMs }
}

/** What holds for every answer: in time, no fault of the server, and a refusal says what it is in the way of the protocol. */
export function expectSound(reply: RawReply, method: string): void {
  expect(reply.durationMs).toBeLessThan(boundMs)
  expect(reply.status).toBeGreaterThanOrEqual(200)
  expect(reply.status).toBeLessThan(500)
  expect(reply.headers).toMatchObject(inertHeaders)
  if (reply.status < 400 || method === 'HEAD') return
  expect(reply.headers['content-type']).toBe('application/json')
  const [error] = (JSON.parse(reply.body.toString()) as { errors: { code: string; message: string }[] }).errors
  expect(error?.code).toMatch(/^[A-Z_]+$/)
  expect(error?.message).not.toMatch(/at \w+ \(|node_modules|select |insert /)
}
