import { once } from 'node:events'
import { createServer, type IncomingMessage, request as send } from 'node:http'
import { type AddressInfo, connect } from 'node:net'

/** A proxy over real HTTP: tunnels by CONNECT, and forwards requests of whole addresses. */
export type TestProxy = {
  readonly url: string
  /** Every request so far: `CONNECT host:port` or `GET http://host/path`, and the login that came with it. */
  readonly seen: { target: string; login: string | undefined }[]
  close(): Promise<void>
}

/** Starts one. With `login`, only those who send that `Proxy-Authorization` may use it. */
export async function startTestProxy(options: { login?: string; hangs?: boolean } = {}): Promise<TestProxy> {
  const seen: TestProxy['seen'] = []
  const mayPass = (request: IncomingMessage) => {
    const login = request.headers['proxy-authorization']
    seen.push({ target: `${request.method} ${request.url}`, login })
    return options.login === undefined || login === options.login
  }
  const server = createServer((request, response) => {
    if (!mayPass(request)) {
      response.writeHead(407).end()
      return
    }
    const { 'proxy-authorization': _own, ...headers } = request.headers
    const onward = send(request.url ?? '', { method: request.method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    onward.on('error', () => response.writeHead(502).end())
    request.pipe(onward)
  })
  const tunnels = new Set<{ destroy: () => void }>()
  server.on('connect', (request, socket) => {
    tunnels.add(socket)
    socket.on('error', () => socket.destroy())
    const isWelcome = mayPass(request)
    if (options.hangs) return
    if (!isWelcome) {
      socket.end('HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
      return
    }
    const { hostname, port } = new URL(`http://${request.url}`)
    const onward = connect(Number(port), hostname, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      onward.pipe(socket).pipe(onward)
    })
    tunnels.add(onward)
    onward.on('error', () => socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n'))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    close: async () => {
      for (const socket of tunnels) socket.destroy()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
