import type { IncomingMessage, ServerResponse } from 'node:http'

// As long as common proxies linger: half a minute in all, and five seconds without a byte.
const longestMs = 30_000
const idleMs = 5_000

/**
 * The body of a request for a reader that may stop in the middle. Read by itself the request would be destroyed then: its
 * connection could carry no further request, and the rest of the body would stand in it unread.
 */
export function bodyOf(request: IncomingMessage): AsyncIterable<Buffer> {
  return request.iterator({ destroyOnReturn: false })
}

/** Whether an answer would come before the end of the body that it answers. */
export function isEarly({ request }: { request: IncomingMessage }): boolean {
  // A client that asked whether to send the body has not begun with it; and a request that was given up is read no more.
  return !request.complete && !request.destroyed && request.headers.expect === undefined
}

/**
 * Ends an answer whose head is written, and takes in what the client is still sending, for a while. A connection closed with
 * bytes unread is reset, which takes the answer back from a client that has not read it yet (RFC 9112 §9.6).
 */
export function endEarly(
  { request, response }: { request: IncomingMessage; response: ServerResponse },
  body: Uint8Array,
): void {
  // All that the client waits for goes out now; only the end of the exchange is held back.
  response.write(body)
  const end = () => {
    clearTimeout(late)
    clearTimeout(idle)
    request.off('data', onData).off('end', end).off('close', end)
    response.end()
    // A client that goes on for longer is cut, because nothing else would stop it.
    if (!request.complete) request.socket.destroySoon()
  }
  const late = setTimeout(end, longestMs)
  let idle = setTimeout(end, idleMs)
  const onData = () => {
    clearTimeout(idle)
    idle = setTimeout(end, idleMs)
  }
  request.on('data', onData).on('end', end).on('close', end)
  request.resume()
}
