import type { DiskReserve } from './disk-reserve.ts'
import type { BlobStore } from './store/store.ts'

/** A store that takes nothing new while a disk is below its reserve. Reading, removing and publishing go on. */
export function withReserve(store: BlobStore, reserve: DiskReserve): BlobStore {
  return {
    ...store,
    write: async (key, source, how = {}) => {
      await reserve.refuse(how.expectedBytes)
      return store.write(key, checked(source, reserve), how)
    },
    writePart: async (id, startOffset, source, how) => {
      await reserve.refuse()
      return store.writePart(id, startOffset, checked(source, reserve), how)
    },
    writeTransfer: async (path, source, how = {}) => {
      await reserve.refuse(how.expectedBytes)
      return store.writeTransfer(path, checked(source, reserve), how)
    },
    disks: () => reserve.states(),
    close: async () => {
      reserve.stop()
      await store.close()
    },
  }
}

/** The source itself, which fails when the disk gets below its reserve while it is read: it may be of any length. */
function checked(source: AsyncIterable<Uint8Array>, reserve: DiskReserve): AsyncIterable<Uint8Array> {
  return {
    [Symbol.asyncIterator]: () => {
      const iterator = source[Symbol.asyncIterator]()
      return {
        // As a source that fails: what had come is kept, and the upload goes on from there.
        next: async () => {
          const result = await iterator.next()
          if (result.done) return result
          try {
            reserve.take(result.value.length)
          } catch (error) {
            // Who reads takes it for a source that has ended by itself: what that holds, a file say, nobody else would close.
            await Promise.allSettled([iterator.return?.()])
            throw error
          }
          return result
        },
        return: async (value) => (await iterator.return?.(value)) ?? { done: true, value },
      }
    },
  }
}
