import type { Socket } from 'node:net'
import { sendBuffers } from '../store/send-buffers.ts'
import { idleError } from './failure.ts'
import { LentBytes } from './lent-bytes.ts'
import { parseRangeHead, type RangeHead } from './range-head.ts'

const headBytes = 16 << 10
/** How long one is kept that nothing is asked through; servers and what lies between end theirs after a while. */
const keptMs = 10_000
/** As much as TLS gives at once. */
const recordBytes = 16 << 10
const endings = new Set(['ECONNRESET', 'EPIPE'])

/** What a socket of node takes to read into memory of ours, which it then does not allocate for each read. */
export type OnRead = { buffer: () => Buffer; callback: (count: number) => boolean }

/**
 * A connection that ranges of objects are read through, one after the other. It knows just enough of HTTP for that; node's client
 * makes a buffer for each 64 KiB (16 with TLS), and collecting those took more time than the bytes themselves.
 */
export class ReadConnection {
  readonly #socket: Socket
  readonly #idleTimeoutMs: number
  readonly #head: Buffer = Buffer.allocUnsafeSlow(headBytes)
  #headFilled = 0
  #isAsked = false
  #range: RangeHead | undefined
  #bytes: LentBytes | undefined
  #buffers: Buffer[] = []
  /** Bytes of the answer that have not come yet. */
  #leftBytes = 0
  #wake: (() => void) | undefined
  #gathering: NodeJS.Immediate | undefined
  #failure: { error: unknown } | undefined

  constructor(connect: (onread: OnRead) => Socket, idleTimeoutMs: number) {
    this.#idleTimeoutMs = idleTimeoutMs
    this.#socket = connect({ buffer: () => this.#room(), callback: (count) => this.#take(count) })
    this.#socket.on('error', (error) => this.end(error))
    this.#socket.on('timeout', () => this.end(idleError(keptMs)))
    this.#socket.on('close', () => this.end(Object.assign(new Error('the connection ended'), { code: 'ECONNRESET' })))
  }

  get isOpen(): boolean {
    return !this.#failure
  }

  /** Whether the other side ended it before a word of its answer. */
  get endedInSilence(): boolean {
    const { code = '' } = (this.#failure?.error ?? {}) as { code?: string }
    return this.#headFilled === 0 && endings.has(code)
  }

  /** Sends a request; `undefined` when the answer is anything but a plain range, and then the connection is over. */
  async ask(request: string): Promise<RangeHead | undefined> {
    this.#headFilled = 0
    this.#isAsked = true
    this.#socket.setTimeout(0)
    this.#socket.ref()
    this.#socket.write(request, 'latin1')
    this.#socket.resume()
    while (this.#isAsked) await this.#news()
    if (!this.#range) this.end(new Error('the answer is no range'))
    return this.#range
  }

  /** The bytes that came, lent until the next call; `undefined` after the last ones. Throws when it breaks off. */
  async next(): Promise<Buffer | undefined> {
    for (;;) {
      const bytes = this.#bytes?.next()
      if (this.#bytes?.hasRoom && this.#leftBytes > 0) this.#socket.resume()
      if (bytes || this.#leftBytes === 0) return bytes
      await this.#news()
    }
  }

  /**
   * Ends an answer. `isHeld`: somebody may still read from what was lent. `false` when the connection is over: it broke, or the
   * answer was not read to its end.
   */
  release(isHeld: boolean): boolean {
    const isWhole = this.#leftBytes === 0 && this.#bytes?.next() === undefined
    if (!isWhole || isHeld || !this.#range?.staysOpen) this.end(new Error('the connection is not used any more'))
    for (const buffer of this.#buffers.splice(0)) {
      if (isHeld) sendBuffers.lose()
      else sendBuffers.give(buffer)
    }
    this.#bytes = undefined
    this.#range = undefined
    if (this.#failure) return false
    // It is read on, or its end would not be heard.
    this.#socket.resume()
    this.#socket.setTimeout(keptMs)
    this.#socket.unref()
    return true
  }

  end(error: unknown): void {
    this.#failure ??= { error }
    this.#socket.destroy()
    this.#wake?.()
  }

  /** Waits until something has come. Only this is timed: a slow reader of ours is no fault of the object store. */
  async #news(): Promise<void> {
    if (this.#failure) throw this.#failure.error
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#wake = resolve
    const late = setTimeout(() => this.end(idleError(this.#idleTimeoutMs)), this.#idleTimeoutMs)
    await promise
    clearTimeout(late)
    this.#wake = undefined
  }

  /** Takes note of bytes that were read. `false` stops the reading. */
  #take(count: number): boolean {
    if (this.#isAsked) {
      this.#headFilled += count
      this.#readHead()
      if (!this.#isAsked) this.#wake?.()
      return !this.#bytes || this.#leftBytes > 0
    }
    if (!this.#bytes || count > this.#leftBytes) {
      this.end(new Error('more came than was asked for'))
      return false
    }
    this.#bytes.add(count)
    this.#leftBytes -= count
    if (count > recordBytes || this.#leftBytes === 0) this.#wake?.()
    else this.#wakeSoon()
    return this.#leftBytes > 0 && this.#bytes.hasRoom
  }

  /** Once all is read that has come: TLS gives its records one by one, and to write each by itself would cost half as much again. */
  #wakeSoon(): void {
    if (this.#gathering) return
    this.#gathering = setImmediate(() => {
      this.#gathering = undefined
      this.#wake?.()
    })
  }

  #readHead(): void {
    const filled = this.#head.subarray(0, this.#headFilled)
    const end = filled.indexOf('\r\n\r\n')
    if (end < 0 && filled.length < headBytes) return
    this.#isAsked = false
    const range = parseRangeHead(filled.toString('latin1', 0, Math.max(0, end)))
    const start = end + 4
    if (!range || filled.length - start > range.sizeBytes) return
    this.#range = range
    this.#leftBytes = range.sizeBytes - (filled.length - start)
    if (this.#leftBytes > 0) this.#buffers = [sendBuffers.take(), sendBuffers.take()]
    this.#bytes = new LentBytes({ buffer: this.#head, start, end: filled.length }, this.#buffers)
  }

  #room(): Buffer {
    if (!this.#bytes) return this.#head.subarray(this.#headFilled)
    // For the next answer: nothing is read before it is asked for.
    return this.#leftBytes > 0 ? this.#bytes.room() : this.#head
  }
}
