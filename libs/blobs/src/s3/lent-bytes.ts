/** Memory that bytes come into from its start; what was given back is the part before `returned`. */
type Place = { buffer: Buffer; filled: number; returned: number }
type Piece = { place: Place; start: number; end: number }

const reserveBytes = 16 << 10

/**
 * Bytes on their way from a socket to whoever takes them: they are lent, in order, and their memory is filled again once they
 * are given back. Of two large buffers one is filled while the other is lent.
 */
export class LentBytes {
  readonly #small: Place
  readonly #large: readonly Place[]
  readonly #ready: Piece[] = []
  #filling: Place
  #lent: Piece | undefined

  /** `begun`: a buffer whose bytes from `start` to `end` are the first ones. Without large buffers there is no room for more. */
  constructor({ buffer, start, end }: { buffer: Buffer; start: number; end: number }, large: readonly Buffer[]) {
    this.#small = { buffer, filled: start, returned: start }
    this.#large = large.map((each) => ({ buffer: each, filled: 0, returned: 0 }))
    this.#filling = this.#small
    if (end > start) this.add(end - start)
  }

  /** Whether the next bytes have a large buffer to go to; else their reader should stop until some are given back. */
  get hasRoom(): boolean {
    const isLarge = this.#large.includes(this.#filling)
    return (isLarge && this.#filling.filled < this.#filling.buffer.length) || this.#free() !== undefined
  }

  /** Where the next bytes go. A reader that was told to stop may still have some, so there is always a place, if a small one. */
  room(): Buffer {
    const free = this.#free()
    if (free || !this.hasRoom) this.#filling = free ?? (isFree(this.#small) ? this.#small : reserve())
    if (isFree(this.#filling)) {
      this.#filling.filled = 0
      this.#filling.returned = 0
    }
    return this.#filling.buffer.subarray(this.#filling.filled)
  }

  /** Notes that so many bytes came to where `room` said last. */
  add(count: number): void {
    const place = this.#filling
    const start = place.filled
    place.filled += count
    const last = this.#ready.at(-1)
    if (last?.place === place) last.end = place.filled
    else this.#ready.push({ place, start, end: place.filled })
  }

  /** Lends all bytes that follow each other in memory; `undefined` when there are none. What was lent before is given back. */
  next(): Buffer | undefined {
    this.giveBack()
    const piece = this.#ready.shift()
    this.#lent = piece
    return piece?.place.buffer.subarray(piece.start, piece.end)
  }

  giveBack(): void {
    if (this.#lent) this.#lent.place.returned = this.#lent.end
    this.#lent = undefined
  }

  #free(): Place | undefined {
    return this.#large.find((place) => place !== this.#filling && isFree(place))
  }
}

function isFree({ filled, returned }: Place): boolean {
  return filled === returned
}

function reserve(): Place {
  return { buffer: Buffer.allocUnsafeSlow(reserveBytes), filled: 0, returned: 0 }
}
