import type { RemoteHash } from '../hashing/hash-threads.ts'
import { copyIntoSlab, type Slab, type SlabHolder, type SlabPool, slabBytes } from '../hashing/slabs.ts'
import { syncData, writeAll } from './descriptors.ts'

/** More slabs than this do not make one upload faster. */
const slabsPerUpload = 4
/** Written back early, so that the last fdatasync, for which the client waits, is short. */
const earlySyncBytes = 32 << 20

/**
 * Writes a long source to a file while another thread hashes it: chunks are gathered in shared slabs, and each full slab
 * is written at its offset and hashed at the same time.
 */
export class SlabWriter implements SlabHolder {
  readonly #fd: number
  readonly #hash: RemoteHash
  readonly #pool: SlabPool
  readonly #running = new Set<Promise<void>>()
  #current: Slab | undefined
  #used = 0
  #position = 0
  #unsynced = 0
  #slabsOut = 0
  #onRelease: (() => void) | undefined
  #failure: { error: unknown } | undefined

  constructor(fd: number, hash: RemoteHash, pool: SlabPool) {
    this.#fd = fd
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

  /** The size and hash of everything, once it is durable. */
  async finish(): Promise<{ sizeBytes: number; hex: string }> {
    if (this.#current) this.#ship()
    const [hex] = await Promise.all([this.#hash.finish(), this.#settleAndSync()])
    return { sizeBytes: this.#position, hex }
  }

  /** Resolves when neither disk nor hash touch the file or the slabs any more. */
  async abandon(): Promise<void> {
    this.#pool.busy(this)
    if (this.#current) this.#pool.give(this.#current)
    this.#current = undefined
    await Promise.all(this.#running)
    this.#hash.drop()
  }

  async #settleAndSync(): Promise<void> {
    await Promise.all(this.#running)
    if (this.#failure) throw this.#failure.error
    await syncData(this.#fd)
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
    this.#unsynced += count
    const uses = [
      this.#hash.update(slab.view.subarray(0, count)),
      writeAll(this.#fd, slab.view, count, position),
    ] as const
    this.#track(uses, () => this.#release(slab))
    if (this.#unsynced < earlySyncBytes) return
    this.#unsynced = 0
    // Its failure counts: the kernel reports a failed write-back once, and the last fdatasync would not see it.
    this.#track([syncData(this.#fd)])
  }

  #release(slab: Slab): void {
    this.#pool.give(slab)
    this.#slabsOut -= 1
    this.#onRelease?.()
  }

  // A slab is free only when both its users are done, also when one of them fails early.
  #track(uses: readonly Promise<void>[], then?: () => void): void {
    const settled = Promise.allSettled(uses)
      .then((results) => {
        for (const result of results) if (result.status === 'rejected') this.#failure ??= { error: result.reason }
        this.#running.delete(settled)
        then?.()
      })
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
    this.#running.add(settled)
  }
}
