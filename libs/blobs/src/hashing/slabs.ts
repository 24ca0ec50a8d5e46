import { availableParallelism } from 'node:os'
import { BlobStoreError } from '../store/errors.ts'

/** 1 MiB was the fastest of the sizes tried for hashing and writing alike. */
export const slabBytes = 1 << 20

/** A piece of shared memory, filled by one upload and read by the hashing thread and the disk at once. */
export type Slab = { readonly view: Buffer }

/**
 * Copies bytes of a chunk into a slab; answers how many fit. `fill`, of which the chunk is all, is a plain memcpy, while `copy` and `set`
 * into shared memory go word by word.
 */
export function copyIntoSlab({ view }: Slab, at: number, chunk: Uint8Array, offset: number): number {
  const count = Math.min(chunk.length - offset, view.length - at)
  view.fill(chunk.subarray(offset, offset + count), at, at + count)
  return count
}

export type SlabHolder = {
  /** Called when an upload waits for a slab while all are out: hand over what you hold half-filled and idle. */
  onWanted(): void
}

export type SlabPool = {
  /**
   * Throws a `BlobStoreError` (`unavailable`) when there was none for 30 s, and the signal's reason when it aborts. What the
   * taker has parked or reserved moves into the slab: it is counted no more.
   */
  take(options?: Waiting & Partial<Moving>): Promise<Slab>
  /**
   * Counts bytes that an upload is about to read before it has a slab; waits for them as for a slab. Together they take half of
   * all memory at most, so that there are always slabs that go round.
   */
  reserve(bytes: number, options?: Waiting): Promise<void>
  /** Reserved bytes that are not needed any more. */
  release(reservedBytes: number): void
  give(slab: Slab): void
  /** Gives a slab back of which so many bytes are kept elsewhere: they count as if they were still in it. */
  park(slab: Slab, bytes: number): void
  /** Parked bytes that are not needed any more. */
  drop(parkedBytes: number): void
  /** Says that the holder only waits for its source while it holds a half-filled slab; undone by `busy`. */
  idle(holder: SlabHolder): void
  busy(holder: SlabHolder): void
}

type Waiting = { signal?: AbortSignal | undefined }
type Moving = { parkedBytes: number; reservedBytes: number }
/** Takes what it waits for, if that is to be had now. */
type Waiter = () => boolean

const longestWaitMs = 30_000

/**
 * The memory of all uploads together: slabs, parked and reserved bytes never exceed `limit` slabs. A call that comes when all
 * is taken waits in line; an upload that holds a slab only because its client is slow is asked to part with it, so that slow
 * clients can not starve the others. It is asked once it was idle for `idleMs` (0 unless set): where parting costs a copy, only
 * an upload that has really stopped is asked. `longestWaitMs` is 30 s unless a test has less patience.
 */
export function createSlabPool(size: {
  limit: number
  kept: number
  bytes: number
  idleMs?: number
  longestWaitMs?: number
}): SlabPool {
  const { limit, kept, bytes, idleMs = 0 } = size
  const free: Slab[] = []
  const line = new Set<Waiter>()
  const idlers = new Map<SlabHolder, number>()
  let made = 0
  let asking: NodeJS.Timeout | undefined
  let parked = 0
  let reserved = 0

  const inUse = () => made * bytes + parked + reserved
  /** A slab, if there is memory for it once what its taker has elsewhere has moved into it. */
  const takeNow = ({ parkedBytes, reservedBytes }: Moving): Slab | undefined => {
    const isNew = free.length === 0
    if (inUse() + (isNew ? bytes : 0) - parkedBytes - reservedBytes > limit * bytes) return undefined
    parked -= parkedBytes
    reserved -= reservedBytes
    if (isNew) made += 1
    return free.pop() ?? { view: Buffer.from(new SharedArrayBuffer(bytes)) }
  }
  const serve = () => {
    // An upload that has bytes elsewhere needs less, and gets on where one before it cannot.
    for (const waiter of line) if (waiter()) line.delete(waiter)
  }
  const askIdlers = () => {
    const longEnough = performance.now() - idleMs
    for (const [idler, since] of idlers) {
      if (line.size === 0) return
      // In the order in which they fell idle.
      if (since > longEnough) break
      idlers.delete(idler)
      idler.onWanted()
    }
    if (line.size > 0 && idleMs > 0 && !asking)
      asking = setTimeout(() => {
        asking = undefined
        askIdlers()
      }, idleMs)
  }
  const takeBack = (slab: Slab) => {
    if (line.size > 0 || free.length < kept) free.push(slab)
    else made -= 1
  }

  const reserveNow = (count: number) => {
    if (reserved + count > (limit * bytes) / 2) return false
    // What is kept for the next slab is memory too.
    while (inUse() + count > limit * bytes && free.pop()) made -= 1
    if (inUse() + count > limit * bytes) return false
    reserved += count
    return true
  }
  // Those before may wait for something else, of which there is none.
  const onWaiting = () => {
    serve()
    askIdlers()
  }
  const wait = <T>(attempt: () => T | undefined, signal: AbortSignal | undefined) =>
    waitInLine(line, attempt, { signal, longestWaitMs: size.longestWaitMs ?? longestWaitMs, onWaiting })

  return {
    async take({ signal, parkedBytes = 0, reservedBytes = 0 } = {}) {
      signal?.throwIfAborted()
      const attempt = () => takeNow({ parkedBytes, reservedBytes })
      return (line.size === 0 ? attempt() : undefined) ?? wait(attempt, signal)
    },
    async reserve(count, { signal } = {}) {
      signal?.throwIfAborted()
      const attempt = () => reserveNow(count) || undefined
      if (!attempt()) await wait(attempt, signal)
    },
    release(count) {
      reserved -= count
      serve()
    },
    give(slab) {
      takeBack(slab)
      serve()
    },
    park(slab, count) {
      parked += count
      if (inUse() <= limit * bytes) takeBack(slab)
      // Its memory goes: what is parked takes the place of a part of it.
      else made -= 1
      serve()
    },
    drop(count) {
      parked -= count
      serve()
    },
    idle(holder) {
      idlers.delete(holder)
      idlers.set(holder, performance.now())
      if (line.size > 0) askIdlers()
    },
    busy(holder) {
      idlers.delete(holder)
    },
  }
}

function waitInLine<T>(
  line: Set<Waiter>,
  attempt: () => T | undefined,
  options: { signal: AbortSignal | undefined; longestWaitMs: number; onWaiting: () => void },
): Promise<T> {
  const { signal, longestWaitMs, onWaiting } = options
  return new Promise((resolve, reject) => {
    const leave = (error: unknown) => {
      end()
      line.delete(waiter)
      reject(error)
    }
    const onAbort = () => leave(signal?.reason)
    const late = setTimeout(
      () =>
        leave(
          new BlobStoreError(
            'busy',
            `there was no memory for this upload within ${longestWaitMs / 1_000} s, for others have it; try again later`,
          ),
        ),
      longestWaitMs,
    )
    const end = () => {
      clearTimeout(late)
      signal?.removeEventListener('abort', onAbort)
    }
    const waiter: Waiter = () => {
      const got = attempt()
      if (got === undefined) return false
      end()
      resolve(got)
      return true
    }
    if (signal?.aborted) return onAbort()
    signal?.addEventListener('abort', onAbort, { once: true })
    line.add(waiter)
    onWaiting()
  })
}

/**
 * For all uploads of this process, however many there are: 8 MiB for each core. With 50 uploads at once on 2 cores, more
 * made none faster and only cost memory.
 */
export const uploadSlabs = createSlabPool({
  limit: Math.min(64, Math.max(16, 8 * availableParallelism())),
  kept: 8,
  bytes: slabBytes,
})
