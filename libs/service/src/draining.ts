import type { Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Whether a listener is about to close, and its connections. */
type Drain = { isBegun: boolean; connections: Set<Connection> }
/** A connection with the latest answer on it, and whether that one would never end by itself. */
type Connection = { response?: ServerResponse; isEndless: boolean }

const drains = new WeakMap<Server, Drain>()
const connectionOf = new WeakMap<object, Connection>()

/** Has a listener know of its connections when it closes. Answers what each of its answers is to be given to first. */
export function watchDrain(server: Server, connectionEvent: string): (response: ServerResponse) => void {
  const drain: Drain = { isBegun: false, connections: new Set() }
  drains.set(server, drain)
  server.on(connectionEvent, (socket: Socket) => {
    const connection: Connection = { isEndless: false }
    connectionOf.set(socket, connection)
    drain.connections.add(connection)
    socket.once('close', () => drain.connections.delete(connection))
  })
  return (response) => {
    if (drain.isBegun) closeBehind(response)
    const connection = connectionOf.get(response.socket ?? response)
    if (!connection) return
    connection.response = response
    connection.isEndless = false
  }
}

/** Says of an answer that it goes on until its client leaves: it is ended when its listener closes, which would wait for it in vain. */
export function endAtClose(response: ServerResponse): void {
  const connection = connectionOf.get(response.socket ?? response)
  if (connection) connection.isEndless = true
}

/** Begins to close: answers that have no end are ended, and connections close behind those that have one. */
export function beginDrain(server: Server): void {
  const drain = drains.get(server)
  if (!drain) return
  drain.isBegun = true
  for (const { response, isEndless } of drain.connections) {
    if (!response || response.writableEnded) continue
    if (isEndless) response.end()
    else closeBehind(response)
  }
}

/** The client is not to send another request on a connection that is closed behind this answer. */
function closeBehind(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader('connection', 'close')
}
