import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export type CutProxy = {
  port: number
  /** Ends every connection and refuses new ones, as a server that is away does. */
  cut(): void
  mend(): void
  stop(): Promise<void>
}

/** A TCP proxy on 127.0.0.1 that can take a server, at a port or a socket, away and bring it back without touching it. */
export async function startCutProxy(target: { host: string; port: number } | { path: string }): Promise<CutProxy> {
  let away = false
  const open = new Set<Socket>()
  const server = createServer((client) => {
    if (away) {
      client.resetAndDestroy()
      return
    }
    const far = connect(target)
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
      socket.pipe(other)
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cutAll = () => {
    // A socket of files cannot be reset; the one to the client is, whose end takes it along.
    for (const socket of open)
      if (socket.remoteAddress !== undefined) socket.resetAndDestroy()
      else socket.destroy()
  }
  return {
    port: (server.address() as AddressInfo).port,
    cut: () => {
      away = true
      cutAll()
    },
    mend: () => {
      away = false
    },
    stop: async () => {
      cutAll()
      server.close()
      await once(server, 'close')
    },
  }
}
