import { chmod, open as openFolder } from 'node:fs/promises'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import path from 'node:path'
import type { Duplex } from 'node:stream'
import { dial, lookUp } from '@berth/registry-client'
import { endToEnd } from './headers.ts'

export type ProxyOptions = {
  /** For tests: private addresses, which a build must never reach, since they are its neighbours. */
  allowPrivateAddresses?: boolean
  /** Hears of what was refused or failed. */
  onRefused: (message: string) => void
}

const mostConnections = 64
const idleMs = 120_000
const ports = new Set(['80', '443'])

/**
 * The one way out of a sandbox: an HTTP proxy on a socket in a folder. Names are looked up here, every address is checked, and what was
 * checked is connected to (docs/guarantees.md#ssrf).
 */
export async function openProxy(
  folder: string,
  options: ProxyOptions,
): Promise<{ socket: string; close: () => Promise<void> }> {
  const ending = new AbortController()
  const open = new Set<Duplex>()
  const server = createServer((incoming, answer) => {
    forward(incoming, answer).catch((error: unknown) => refuse(error, incoming.url, answer))
  })
  server.maxConnections = mostConnections
  server.on('connection', (socket) => {
    open.add(socket)
    socket.setTimeout(idleMs, () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.once('close', () => open.delete(socket))
  })
  server.on('connect', (incoming: IncomingMessage, client: Duplex, head: Buffer) => {
    tunnel(incoming, client, head).catch((error: unknown) => {
      say(error, incoming.url)
      client.end(`HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n${messageOf(error)}\n`)
    })
  })

  const reach = async (url: URL): Promise<Socket> => {
    const port = url.port || (url.protocol === 'https:' ? '443' : '80')
    if (!ports.has(port) && !options.allowPrivateAddresses)
      throw new Error(`${url.host}: builds reach the ports ${[...ports].join(' and ')} only`)
    const addresses = await lookUp(url, options.allowPrivateAddresses ?? false, ending.signal)
    const socket = await dial(url, addresses, ending.signal)
    open.add(socket)
    socket.setTimeout(idleMs, () => socket.destroy())
    socket.on('error', () => socket.destroy())
    socket.once('close', () => open.delete(socket))
    return socket
  }
  async function tunnel(incoming: IncomingMessage, client: Duplex, head: Buffer): Promise<void> {
    const target = `https://${incoming.url ?? ''}`
    if (!/^[^/@?#]+:\d{1,5}$/.test(incoming.url ?? '') || !URL.canParse(target))
      throw new Error('CONNECT names no host')
    const remote = await reach(new URL(target))
    client.write('HTTP/1.1 200 Connection established\r\n\r\n')
    if (head.length > 0) remote.write(head)
    remote.pipe(client)
    client.pipe(remote)
    client.once('close', () => remote.destroy())
    remote.once('close', () => client.destroy())
  }
  async function forward(incoming: IncomingMessage, answer: ServerResponse): Promise<void> {
    const text = incoming.url ?? ''
    if (!/^http:\/\//i.test(text) || !URL.canParse(text))
      throw new Error('a proxy is asked for http://HOST/… or by CONNECT')
    const url = new URL(text)
    if (url.username !== '' || url.password !== '') throw new Error(`${url.host}: a URL of a build has no login in it`)
    const connection = await reach(url)
    const outgoing = request({
      createConnection: () => connection,
      method: incoming.method,
      path: url.pathname + url.search,
      headers: { ...endToEnd(incoming.headers), host: url.host, connection: 'close' },
    })
    outgoing.once('response', (got) => {
      answer.writeHead(got.statusCode ?? 502, endToEnd(got.headers))
      got.pipe(answer)
      got.once('error', () => answer.destroy())
    })
    outgoing.once('error', (error) => refuse(error, incoming.url, answer))
    answer.once('close', () => connection.destroy())
    incoming.pipe(outgoing)
  }
  function say(error: unknown, url: string | undefined): void {
    if (!ending.signal.aborted)
      options.onRefused(`egress: ${messageOf(error)} (${(url ?? '').split('?')[0]?.slice(0, 200)})`)
  }
  function refuse(error: unknown, url: string | undefined, answer: ServerResponse): void {
    say(error, url)
    if (answer.headersSent) return void answer.destroy()
    answer.writeHead(403, { 'content-type': 'text/plain', connection: 'close' })
    answer.end(`${messageOf(error)}\n`)
  }

  const close = async () => {
    ending.abort(new Error('the build has ended'))
    for (const one of open) one.destroy()
    await new Promise<void>((resolve) => server.close(() => resolve()))
    await handle.close()
  }
  // By the number of the open folder: the path of a socket has 107 bytes at most (unix(7)), and it is removed by the same path.
  const handle = await openFolder(folder)
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(`/proc/self/fd/${handle.fd}/egress.sock`, resolve)
    })
    const socket = path.join(folder, 'egress.sock')
    // The account that builds is another one; the folder lets nobody else in.
    await chmod(socket, 0o666)
    return { socket, close }
  } catch (error) {
    await close()
    throw error
  }
}

function messageOf(error: unknown): string {
  const { message = 'it failed' } = (error ?? {}) as { message?: string }
  // The rule speaks of remotes, which may be allowed to have private addresses; builds are not.
  return message.replaceAll(/[\r\n]+/g, ' ').replace(/; (?:set|add) .*$/, '; builds reach public ones only')
}
