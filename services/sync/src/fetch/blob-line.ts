import type { Digest } from '@berth/oci'

/** A blob, its size if a manifest says one (those of schema 1 do not), and whether it is nothing else than a layer. */
export type NeededBlob = {
  digest: Digest
  sizeBytes: number | undefined
  isLayer: boolean
  /** Where it lies, if not with upstream. */
  urls?: readonly string[]
}

/** Blobs that are to be fetched, which may still become more. */
export type BlobSource = {
  needed: ReadonlyMap<Digest, NeededBlob>
  /** All of them, in lists of at most so many; ends when there will be no more. */
  batches: (size: number) => AsyncIterable<Digest[]> | Iterable<Digest[]>
}

/** Blobs in the order in which they become known. */
export type BlobLine = {
  needed: ReadonlyMap<Digest, NeededBlob>
  batches: (size: number) => AsyncIterable<Digest[]>
  /** Adds one that is not in the line yet. */
  add(blob: NeededBlob): void
  /** Says that no more will come. */
  end(): void
}

/** Makes a line of blobs, into which they are put as they are found, while others of it are fetched. */
export function createBlobLine(): BlobLine {
  const needed = new Map<Digest, NeededBlob>()
  let waiting: Digest[] = []
  let isEnded = false
  let news = Promise.withResolvers<void>()
  const tell = () => {
    news.resolve()
    news = Promise.withResolvers<void>()
  }
  return {
    needed,
    add: (blob) => {
      needed.set(blob.digest, blob)
      waiting.push(blob.digest)
      tell()
    },
    end: () => {
      isEnded = true
      tell()
    },
    async *batches(size) {
      for (;;) {
        const batch = waiting.slice(0, size)
        waiting = waiting.slice(size)
        if (batch.length > 0) yield batch
        else if (isEnded) return
        else await news.promise
      }
    },
  }
}
