import type { RemoteHash } from '../hashing/hash-threads.ts'
import { copyIntoSlab, type Slab, type SlabHolder, type SlabPool, slabBytes } from '../hashing/slabs.ts'
import type { Received } from '../store/verify.ts'
import type { Pieces } from './new-file.ts'

/** More slabs than this do not make one upload faster. */
const slabsPerUpload = 4

/**
 * Takes in a long source while another thread hashes it: chunks are gathered in shared slabs, and each full slab goes to its place
 * and is hashed at the same time.
 */
export class SlabWriter implements SlabHolder {
  readonly #pieces: Pieces
  readonly #hash: RemoteHash
  readonly #pool: SlabPool
  readonly #running = new Set<Promise<void>>()
  #current: Slab | undefined
  #used = 0
  #position = 0
  #slabsOut = 0
  #onRelease: (() => void) | undefined
  #failure: { error: unknown } | undefined

  constructor(pieces: Pieces, hash: RemoteHash, pool: SlabPool) {
    this.#pieces = pieces
    this.#hash = hash
    this.#pool = pool
  }

  /** Copies the chunk; resolves at once while there are free slabs. */
  async push(chunk: Uint8Array): Promise<void> {
    for (let offset = 0; offset < chunk.length; ) {
      this.#current ??= await this.#takeSlab()
      const count = copyIntoSlab(this.#current, this.#used, chunk, offset)
      this.#used += count
      offset += count
      if (this.#used === slabBytes) this.#ship()
    }
  }

  /** Says that nothing happens until the source gives more: others may have the half-filled slab. */
  idle(): void {
    if (this.#current) this.#pool.idle(this)
  }

  busy(): void {
    this.#pool.busy(this)
  }

  onWanted(): void {
    if (this.#current) this.#ship()
  }

  /** The size and hash of everything, once it is durable. Throws what `check` throws of them. */
  async finish(check: (received: Received) => void): Promise<Received> {
    if (this.#current) this.#ship()
    const proven = this.#prove(check)
    // Both have ended when this does, so that nothing is done with a file that is closed then.
    const [received, settled] = await Promise.allSettled([proven, this.#settle(proven)])
    if (received.status === 'rejected') throw received.reason
    if (settled.status === 'rejected') throw settled.reason
    return received.value
  }

  /** Resolves when neither disk nor hash touch the slabs any more. */
  async abandon(): Promise<void> {
    this.#pool.busy(this)
    if (this.#current) this.#pool.give(this.#current)
    this.#current = undefined
    await Promise.all(this.#running)
    this.#hash.drop()
  }

  async #prove(check: (received: Received) => void): Promise<Received> {
    const received = { sizeBytes: this.#position, hex: await this.#hash.finish() }
    check(received)
    return received
  }

  async #settle(proven: Promise<Received>): Promise<void> {
    await Promise.all(this.#running)
    if (this.#failure) throw this.#failure.error
    await this.#pieces.settle(proven)
  }

  async #takeSlab(): Promise<Slab> {
    while (this.#slabsOut >= slabsPerUpload && !this.#failure) {
      await new Promise<void>((resolve) => {
        this.#onRelease = resolve
      })
    }
    if (this.#failure) throw this.#failure.error
    this.#slabsOut += 1
    return this.#pool.take()
  }

  #ship(): void {
    const slab = this.#current
    if (!slab) return
    const [count, position] = [this.#used, this.#position]
    this.#current = undefined
    this.#used = 0
    this.#position += count
    this.#track([this.#hash.update(slab.view.subarray(0, count)), this.#pieces.put(slab.view, count, position)], () =>
      this.#release(slab),
    )
  }

  #release(slab: Slab): void {
    this.#pool.give(slab)
    this.#slabsOut -= 1
    this.#onRelease?.()
  }

  // A slab is free only when both its users are done, also when one of them fails early.
  #track(uses: readonly Promise<void>[], then: () => void): void {
    const settled = Promise.allSettled(uses)
      .then((results) => {
        for (const result of results) if (result.status === 'rejected') this.#failure ??= { error: result.reason }
        this.#running.delete(settled)
        then()
      })
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
    this.#running.add(settled)
  }
}
