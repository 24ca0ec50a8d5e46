import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

/** What a client may do with the time that Berth waits for it. */
export type Patience = {
  /** Over each window it has to move so much… */
  leastBytesPerSecond: number
  windowMs: number
  /** …or may be still for so long, as containerd is while it unpacks; */
  stillMs: number
  /** for so long only, while more than half of the connections are taken. */
  stillWhileBusyMs: number
}

export const usualPatience: Patience = {
  leastBytesPerSecond: 1 << 10,
  windowMs: 300_000,
  stillMs: 600_000,
  stillWhileBusyMs: 120_000,
}

/** How it goes with the client of one connection. Times are those in which Berth waited for it, and no others. */
export type ClientPace = {
  /** Judges the time since the last look. Answers why the client is to be cut, if it is. */
  look(
    socket: Socket,
    request: IncomingMessage | undefined,
    elapsedMs: number,
    busy: boolean,
  ): 'slow' | 'still' | undefined
}

/**
 * Follows the pace of a client. Only what Berth waits for is measured: bytes that a socket does not take, or a body of which
 * all that came was read. A client that waits for Berth is never slow.
 */
export function followPace(patience: Patience): ClientPace {
  const leastBytes = (patience.leastBytesPerSecond * patience.windowMs) / 1000
  let before = { in: 0, out: 0 }
  let [windowMs, windowBytes, stillMs] = [0, 0, 0]
  // The last bytes of a fast stretch may fall into a window in which nothing else moves.
  let wasFast = false
  let judged: IncomingMessage | undefined
  return {
    look: (socket, request, elapsedMs, busy) => {
      const now = { in: socket.bytesRead, out: takenBytes(socket) }
      const waitsFor = isUntaken(socket) ? 'out' : isAwaited(request) ? 'in' : undefined
      const moved = waitsFor ? now[waitsFor] - before[waitsFor] : now.in - before.in + now.out - before.out
      before = now
      if (request !== judged) {
        // Until here it was another request, or the head of this one.
        judged = request
        ;[windowMs, windowBytes, stillMs] = [0, 0, 0]
        return undefined
      }
      if (moved > 0) stillMs = 0
      if (!waitsFor) return undefined
      windowMs += elapsedMs
      windowBytes += moved
      if (moved === 0) stillMs += elapsedMs
      if (stillMs >= (busy ? patience.stillWhileBusyMs : patience.stillMs)) return 'still'
      if (windowMs < patience.windowMs) return undefined
      const isSlow = windowBytes > 0 && windowBytes < leastBytes
      if (isSlow && !wasFast) return 'slow'
      if (windowBytes > 0) wasFast = !isSlow
      ;[windowMs, windowBytes] = [0, 0]
      return undefined
    },
  }
}

/** Whether Berth has read all that came of a body, and there is more to come. */
function isAwaited(request: IncomingMessage | undefined): boolean {
  return request !== undefined && !request.complete && request.readableLength < request.readableHighWaterMark
}

type Handle = { bytesWritten: number; writeQueueSize: number }

/** Whether there are bytes of answers that the client has not taken. */
function isUntaken(socket: Socket): boolean {
  return socket.writableLength > 0 || (handleOf(socket)?.writeQueueSize ?? 0) > 0
}

/**
 * The bytes of answers that the client has taken. Of a write that the kernel has taken in part node tells that on its handle
 * only, where it looks itself before it ends a connection for a timeout (lib/net.js).
 */
function takenBytes(socket: Socket): number {
  const handle = handleOf(socket)
  return handle ? handle.bytesWritten - handle.writeQueueSize : socket.bytesWritten - socket.writableLength
}

function handleOf(socket: Socket): Handle | undefined {
  const { _handle: handle } = socket as Socket & { _handle?: Partial<Handle> | null }
  return typeof handle?.bytesWritten === 'number' && typeof handle.writeQueueSize === 'number'
    ? (handle as Handle)
    : undefined
}
