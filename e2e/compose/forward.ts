import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { Transform } from 'node:stream'

/**
 * Opens at an address of this machine, for containers, what listens on its loopback only. What it answers comes `lateMs` later, piece by
 * piece. Answers how to end that.
 */
export async function forwardTo(host: string, port: number, lateMs = 0): Promise<() => Promise<void>> {
  const open = new Set<Socket>()
  const server = createServer((client) => {
    const far = connect(port, '127.0.0.1')
    for (const [socket, other] of [
      [client, far],
      [far, client],
    ] as const) {
      open.add(socket)
      socket.on('close', () => {
        open.delete(socket)
        other.destroy()
      })
      socket.on('error', () => socket.destroy())
    }
    client.pipe(far)
    if (lateMs === 0) far.pipe(client)
    else far.pipe(late(lateMs)).pipe(client)
  }).listen(port, host)
  await once(server, 'listening')
  return async () => {
    for (const socket of open) socket.destroy()
    server.close()
    await once(server, 'close')
  }
}

function late(ms: number): Transform {
  return new Transform({
    transform: (chunk, _encoding, done) => void setTimeout(() => done(null, chunk), ms),
  })
}
