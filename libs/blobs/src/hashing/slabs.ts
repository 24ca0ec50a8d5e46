import { availableParallelism } from 'node:os'

/** 1 MiB was the fastest of the sizes tried for hashing and writing alike. */
export const slabBytes = 1 << 20

/** A piece of shared memory, filled by one upload and read by the hashing thread and the disk at once. */
export type Slab = { readonly view: Buffer }

/**
 * Copies bytes of a chunk into a slab; answers how many fit. `Buffer.copy` is a plain memcpy, while `TypedArray.set` into
 * shared memory goes word by word.
 */
export function copyIntoSlab(slab: Slab, at: number, chunk: Uint8Array, offset: number): number {
  const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
  return bytes.copy(slab.view, at, offset)
}

export type SlabHolder = {
  /** Called when somebody waits for a slab while all are out: hand over what you hold half-filled and idle. */
  onWanted(): void
}

export type SlabPool = {
  take(): Promise<Slab>
  give(slab: Slab): void
  /** Says that the holder only waits for its source while it holds a half-filled slab; undone by `busy`. */
  idle(holder: SlabHolder): void
  busy(holder: SlabHolder): void
}

/**
 * The memory of all uploads together: at most `limit` slabs exist. Whoever comes when all are out waits in line; an
 * upload that holds a slab only because its client is slow is asked to part with it, so that slow clients can not
 * starve the others.
 */
export function createSlabPool({ limit, kept, bytes }: { limit: number; kept: number; bytes: number }): SlabPool {
  const free: Slab[] = []
  const line: ((slab: Slab) => void)[] = []
  const idlers = new Set<SlabHolder>()
  let made = 0

  const askIdler = () => {
    const [idler] = idlers
    if (!idler) return
    idlers.delete(idler)
    idler.onWanted()
  }

  return {
    async take() {
      const slab = free.pop()
      if (slab) return slab
      if (made < limit) {
        made += 1
        return { view: Buffer.from(new SharedArrayBuffer(bytes)) }
      }
      return new Promise((resolve) => {
        line.push(resolve)
        askIdler()
      })
    },
    give(slab) {
      const next = line.shift()
      if (next) next(slab)
      else if (free.length < kept) free.push(slab)
      else made -= 1
    },
    idle(holder) {
      if (line.length > 0) holder.onWanted()
      else idlers.add(holder)
    },
    busy(holder) {
      idlers.delete(holder)
    },
  }
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
