import { randomUUID } from 'node:crypto'
import { mkdir, open, unlink } from 'node:fs/promises'
import path from 'node:path'
import type { ByteRange } from '@berth/oci'

/**
 * Bytes on their way from upstream to any number of readers, each at its own pace: a file that has no name any more, so that
 * nothing is left of it when a process is killed. What readers get before the bytes are verified always lacks an end.
 */
export type Spool = {
  readonly receivedBytes: number
  append(chunk: Uint8Array): Promise<void>
  /** Says that the bytes are what they should be: readers get the rest. */
  verified(): void
  /** Breaks off all readers with this error. */
  fail(error: unknown): void
  /** Ends when the first bytes of a range can be read, or the end of an empty one. */
  begins(range: ByteRange, options: { signal: AbortSignal }): Promise<void>
  /** Gives a range of the bytes as they come. `trusting` readers verify themselves and get the end at once. */
  read(range: ByteRange, options: Reading): AsyncIterable<Uint8Array>
  /** Lets go of the file once the last reader has ended. */
  release(): Promise<void>
}

type Reading = { signal: AbortSignal; trusting?: boolean }

const heldBackBytes = 64 << 10
const readBytes = 128 << 10
const keptPieces = 8

/** Opens a spool in a folder, which is made. */
export async function openSpool(folder: string): Promise<Spool> {
  await mkdir(folder, { recursive: true })
  const name = path.join(folder, randomUUID())
  const file = await open(name, 'wx+', 0o600)
  await unlink(name)
  let changed = Promise.withResolvers<void>()
  let receivedBytes = 0
  let isVerified = false
  let failure: { error: unknown } | undefined
  let readers = 0
  let isReleased = false
  const pieces = new Map<string, Promise<Uint8Array>>()

  const tell = () => {
    changed.resolve()
    changed = Promise.withResolvers()
  }
  const closeIfOver = async () => {
    if (readers === 0) pieces.clear()
    if (isReleased && readers === 0) await file.close()
  }

  /** Waits for bytes at a place, and answers up to where there are any; `undefined` beyond the end. */
  async function limitFrom(position: number, end: number, { signal, trusting = false }: Reading) {
    const aborted = Promise.withResolvers<void>()
    const onAbort = () => aborted.resolve()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      for (;;) {
        signal.throwIfAborted()
        if (failure) throw failure.error
        const isWhole = isVerified || trusting
        const limit = Math.min(receivedBytes, end + 1 - (isWhole ? 0 : heldBackBytes))
        if (position < limit) return limit
        if (isWhole && position > end) return undefined
        await Promise.race([changed.promise, aborted.promise])
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Reads a piece of the file once for all readers that are at the same place: most of them keep up with upstream. */
  function piece(position: number, length: number): Promise<Uint8Array> {
    const key = `${position}+${length}`
    const known = pieces.get(key)
    if (known) return known
    const buffer = Buffer.allocUnsafeSlow(length)
    const reading = file.read(buffer, 0, length, position).then(({ bytesRead }) => buffer.subarray(0, bytesRead))
    pieces.set(key, reading)
    // A read that failed is over for those that waited for it, and tried again by the next.
    reading.catch(() => pieces.delete(key))
    const oldest = pieces.size > keptPieces && pieces.keys().next().value
    if (oldest) pieces.delete(oldest)
    return reading
  }

  async function* read({ start, end }: ByteRange, options: Reading) {
    readers++
    try {
      let position = start
      for (;;) {
        const limit = await limitFrom(position, end, options)
        if (limit === undefined) return
        // Up to a boundary that all readers share, so that those who began or waited elsewhere come to the same pieces.
        const length = Math.min(limit - position, readBytes - (position % readBytes))
        const bytes = await piece(position, length)
        position += bytes.length
        yield bytes
      }
    } finally {
      readers--
      await closeIfOver()
    }
  }

  return {
    get receivedBytes() {
      return receivedBytes
    },
    append: async (chunk) => {
      await file.appendFile(chunk)
      receivedBytes += chunk.length
      tell()
    },
    verified: () => {
      isVerified = true
      tell()
    },
    fail: (error) => {
      failure = { error }
      tell()
    },
    begins: async ({ start, end }, options) => void (await limitFrom(start, end, options)),
    read,
    release: async () => {
      isReleased = true
      await closeIfOver()
    },
  }
}
