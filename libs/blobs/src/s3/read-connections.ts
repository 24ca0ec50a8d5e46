import type http from 'node:http'
import { isIP, type Socket } from 'node:net'
import type { ContentRange } from './range-head.ts'
import { type OnRead, ReadConnection } from './read-connection.ts'

/** How many connections that nothing is asked through are kept for the next reads. */
const mostKept = 32

/**
 * The connections that ranges are read through. There is no limit to those in use: with one, as many slow readers of ours as it
 * allows would stop all others.
 */
export type ReadConnections = {
  /** Sends a signed GET; `undefined` when the answer is anything but a plain range. */
  ask(request: http.RequestOptions, signal: AbortSignal | undefined): Promise<RangeAnswer | undefined>
  close(): void
}

/** One range on its way. Its owner closes it. */
export class RangeAnswer {
  /** The client library looks for it. */
  readonly statusCode = 206
  readonly range: ContentRange
  readonly next: () => Promise<Buffer | undefined>
  readonly close: (isHeld: boolean) => void

  constructor(range: ContentRange, next: RangeAnswer['next'], close: RangeAnswer['close']) {
    this.range = range
    this.next = next
    this.close = close
  }
}

/** `agent` opens the sockets, as it does for other requests, so that sessions of TLS are resumed. */
export function createReadConnections(agent: http.Agent, idleTimeoutMs: number): ReadConnections {
  const open = new Set<ReadConnection>()
  const kept: ReadConnection[] = []

  const connect = ({ host, port }: http.RequestOptions): ReadConnection => {
    const target = { host, port: Number(port), servername: isIP(host ?? '') ? '' : host, noDelay: true }
    const socketWith = (onread: OnRead) =>
      agent.createConnection({ ...target, onread } as http.ClientRequestArgs) as Socket
    const connection = new ReadConnection(socketWith, idleTimeoutMs)
    open.add(connection)
    return connection
  }
  const lastKept = (): ReadConnection | undefined => {
    for (let last = kept.pop(); last; last = kept.pop()) {
      if (last.isOpen) return last
      open.delete(last)
    }
    return undefined
  }
  const release = (connection: ReadConnection, isHeld: boolean) => {
    if (!connection.release(isHeld)) open.delete(connection)
    else if (kept.push(connection) > mostKept) kept.shift()?.end(new Error('there are newer ones'))
  }
  const askThrough = async (connection: ReadConnection, text: string, signal: AbortSignal | undefined) => {
    const onAbort = () => connection.end(signal?.reason)
    const close = (isHeld: boolean) => {
      signal?.removeEventListener('abort', onAbort)
      release(connection, isHeld)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    if (signal?.aborted) onAbort()
    try {
      const head = await connection.ask(text)
      if (head) return new RangeAnswer(head, () => connection.next(), close)
    } catch (error) {
      close(false)
      throw error
    }
    close(false)
    return undefined
  }

  return {
    async ask(request, signal) {
      const text = textOf(request)
      const known = lastKept()
      try {
        if (known) return await askThrough(known, text, signal)
      } catch (error) {
        // The server may have closed it while the request was on its way, which says nothing about the server.
        if (!known?.endedInSilence || signal?.aborted) throw error
      }
      return askThrough(connect(request), text, signal)
    },
    close() {
      for (const connection of open) connection.end(new Error('the store is closed'))
    },
  }
}

function textOf({ method, path, headers }: http.RequestOptions): string {
  const lines = Object.entries(headers ?? {}).map(([name, value]) => `${name}: ${String(value)}\r\n`)
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`
}
