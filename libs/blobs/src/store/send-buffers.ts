/**
 * Buffers of the transfers under way, kept for the next ones. 1 MiB was the fastest size tried; when many transfers run
 * at once they get smaller ones, so that memory does not grow with the number of slow readers as it would.
 */
export type SendBuffers = { take(): Buffer; give(buffer: Buffer): void; lose(): void }

const sizes = [
  { whileFewerThan: 32, bytes: 1 << 20 },
  { whileFewerThan: 96, bytes: 256 << 10 },
  { whileFewerThan: Number.POSITIVE_INFINITY, bytes: 64 << 10 },
] as const

/** How many idle buffers of each size are kept. */
const kept = 16

function createSendBuffers(): SendBuffers {
  const idle = new Map<number, Buffer[]>(sizes.map(({ bytes }) => [bytes, []]))
  let out = 0
  return {
    take() {
      const bytes = sizes.find(({ whileFewerThan }) => out < whileFewerThan)?.bytes ?? 64 << 10
      out += 1
      return idle.get(bytes)?.pop() ?? Buffer.allocUnsafeSlow(bytes)
    },
    give(buffer) {
      out -= 1
      const shelf = idle.get(buffer.length)
      if (shelf && shelf.length < kept) shelf.push(buffer)
    },
    /** For a buffer that something may still read from. */
    lose() {
      out -= 1
    },
  }
}

export const sendBuffers = createSendBuffers()
