import type { RemoteHash } from '../hashing/hash-threads.ts'
import { copyIntoSlab, createSlabPool, type Slab, type SlabHolder } from '../hashing/slabs.ts'
import type { Received } from '../store/verify.ts'
import { type Multipart, partBytes, startMultipart, type UploadedPart } from './multipart.ts'
import type { S3 } from './requests.ts'

/** 64 MiB for all uploads of this process, what is parked included: of 128 MiB the sockets of hundreds that wait hold the rest. */
export const partSlabs = createSlabPool({ limit: 8, kept: 4, bytes: partBytes, idleMs: 1_000 })
/** To copy more would cost more than it gives. */
const mostParkedBytes = partBytes / 2
/** Parts of one upload on their way at once. */
const partsUnderWay = 3

type Options = { signal: AbortSignal | undefined; waiting: AbortSignal | undefined; reservedBytes: number }

/** Sends a long source to a key in parts, hashing each in another thread while it is on its way. */
export class PartWriter implements SlabHolder {
  readonly #s3: S3
  readonly #key: string
  readonly #hash: RemoteHash
  readonly #signal: AbortSignal | undefined
  readonly #running = new Set<Promise<void>>()
  readonly #parts: UploadedPart[] = []
  #multipart: Multipart | undefined
  #current: Slab | undefined
  #parked: Buffer | undefined
  #used = 0
  #sizeBytes = 0
  #shipped = 0
  readonly #waiting: AbortSignal | undefined
  #reservedBytes: number
  #failure: { error: unknown } | undefined

  /** `waiting` ends the wait for memory. `reservedBytes`: what the source's first bytes take, which are about to be pushed. */
  constructor(s3: S3, key: string, hash: RemoteHash, { signal, waiting, reservedBytes }: Options) {
    this.#s3 = s3
    this.#key = key
    this.#hash = hash
    this.#signal = signal
    this.#waiting = waiting
    this.#reservedBytes = reservedBytes
  }

  async push(chunk: Uint8Array): Promise<void> {
    for (let offset = 0; offset < chunk.length; ) {
      const slab = (this.#current ??= await this.#takeSlab())
      const count = copyIntoSlab(slab, this.#used, chunk, offset)
      this.#used += count
      this.#sizeBytes += count
      offset += count
      if (this.#used === partBytes) await this.#ship(slab)
    }
  }

  idle(): void {
    if (this.#current) partSlabs.idle(this)
  }

  busy(): void {
    partSlabs.busy(this)
  }

  /** A part cannot be sent half-filled, so what is there moves into memory of its own size, which still counts. */
  onWanted(): void {
    if (!this.#current || this.#used > mostParkedBytes) return
    this.#parked = Buffer.from(this.#current.view.subarray(0, this.#used))
    partSlabs.park(this.#current, this.#used)
    this.#current = undefined
  }

  /** Ends the object: `check` sees size and hash before anything is visible under the key. */
  async finish(check: (received: Received) => void): Promise<Received> {
    if (this.#used > 0) await this.#ship((this.#current ??= await this.#takeSlab()))
    const [hex] = await Promise.all([this.#hash.finish(), ...this.#running])
    if (this.#failure) throw this.#failure.error
    const received = { sizeBytes: this.#sizeBytes, hex }
    check(received)
    await this.#multipart?.complete(this.#parts, this.#sizeBytes, this.#signal)
    return received
  }

  /** Resolves when nothing is under way any more and the server was told to forget what it has. */
  async abandon(): Promise<void> {
    partSlabs.busy(this)
    if (this.#current) partSlabs.give(this.#current)
    if (this.#parked) partSlabs.drop(this.#parked.length)
    partSlabs.release(this.#reservedBytes)
    this.#reservedBytes = 0
    this.#parked = undefined
    this.#current = undefined
    await Promise.all(this.#running)
    this.#hash.drop()
    await this.#multipart?.abort()
  }

  async #takeSlab(): Promise<Slab> {
    while (this.#running.size >= partsUnderWay && !this.#failure) await Promise.race(this.#running)
    if (this.#failure) throw this.#failure.error
    const slab = await partSlabs.take({
      signal: this.#waiting,
      parkedBytes: this.#parked?.length ?? 0,
      reservedBytes: this.#reservedBytes,
    })
    this.#reservedBytes = 0
    if (this.#parked) this.#parked.copy(slab.view)
    this.#parked = undefined
    return slab
  }

  async #ship(slab: Slab): Promise<void> {
    const bytes = slab.view.subarray(0, this.#used)
    this.#multipart ??= await startMultipart(this.#s3, this.#key, this.#signal)
    this.#current = undefined
    this.#used = 0
    this.#shipped += 1
    const stored = this.#multipart.put(this.#shipped, bytes, this.#signal).then((part) => void this.#parts.push(part))
    const settled = Promise.allSettled([this.#hash.update(bytes), stored])
      .then((results) => {
        for (const result of results) if (result.status === 'rejected') this.#failure ??= { error: result.reason }
        partSlabs.give(slab)
        this.#running.delete(settled)
      })
      .catch((error: unknown) => {
        this.#failure ??= { error }
      })
    this.#running.add(settled)
  }
}
