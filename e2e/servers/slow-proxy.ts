import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { type Readable, Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as pause } from 'node:timers/promises'

export type SlowProxy = {
  /** `127.0.0.1:PORT` */
  host: string
  url: string
  /** From now on the answers are passed on as fast as they come. */
  hurry(): void
  stop(): Promise<void>
}

const pieceBytes = 16 << 10

/** A TCP proxy on 127.0.0.1 that lets at most `bytesPerSecond` of answers through on each connection. */
export async function startSlowProxy(target: { host: string; bytesPerSecond: number }): Promise<SlowProxy> {
  let slow = true
  const [host = '', port] = target.host.split(':')
  const open = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect({ host, port: Number(port) })
    for (const socket of [client, upstream]) {
      open.add(socket)
      socket.on('close', () => open.delete(socket))
    }
    // Not by pipeline: it would destroy the client as soon as the upstream has closed, with answers still on their way.
    client.pipe(upstream)
    client.on('close', () => upstream.destroy())
    for (const socket of [client, upstream]) socket.on('error', () => socket.destroy())
    pipeline(
      upstream,
      throttle(() => slow, target.bytesPerSecond),
      client,
    ).catch(() => client.destroy())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const at = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    host: at,
    url: `http://${at}`,
    hurry: () => {
      slow = false
    },
    stop: async () => {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

function throttle(isSlow: () => boolean, bytesPerSecond: number): Transform & Readable {
  return new Transform({
    highWaterMark: pieceBytes,
    async transform(chunk: Buffer, _encoding, done) {
      for (let at = 0; at < chunk.length; at += pieceBytes) {
        const piece = chunk.subarray(at, at + pieceBytes)
        if (isSlow()) await pause((piece.length / bytesPerSecond) * 1000)
        this.push(piece)
      }
      done()
    },
  })
}
