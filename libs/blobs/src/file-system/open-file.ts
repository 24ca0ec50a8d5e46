import { Readable } from 'node:stream'
import type { ByteRange } from '@berth/oci'
import { BlobStoreError } from '../store/errors.ts'
import { wholeOr } from '../store/ranges.ts'
import type { OpenBlob, ReadOptions } from '../store/store.ts'
import { closeFile, openFile, statFile } from './descriptors.ts'
import { orFail } from './failure.ts'
import { lendFile, readSome, sendFile } from './send-file.ts'

const streamChunkBytes = 256 << 10

/** Opens a file of the store for reading. Throws the system error of an `open` that failed. */
export async function openStoredFile(path: string, name: string): Promise<OpenBlob> {
  const fd = await openFile(path)
  try {
    const stats = await statFile(fd)
    return openBlob(fd, name, stats.size)
  } catch (error) {
    await closeFile(fd)
    throw error
  }
}

function openBlob(fd: number, name: string, sizeBytes: number): OpenBlob {
  const uses = new Set<Promise<unknown>>()
  let closing: Promise<void> | undefined

  // The descriptor stays open while it is read: a closed number may name another file a moment later.
  const using = <T>(work: () => Promise<T>): Promise<T> => {
    if (closing) return Promise.reject(new BlobStoreError('unavailable', `${name} is closed already`))
    const use = work()
    uses.add(use)
    const forget = () => void uses.delete(use)
    use.then(forget, forget)
    return use
  }

  async function* chunks({ start, end }: ByteRange): AsyncGenerator<Buffer> {
    const span = { fd, name, start, sizeBytes: end - start + 1 }
    for (let done = 0; done < span.sizeBytes; ) {
      const buffer = Buffer.allocUnsafeSlow(Math.min(streamChunkBytes, span.sizeBytes - done))
      const count = await using(() => orFail(`read ${name}`, () => readSome(span, buffer, done)))
      done += count
      yield buffer.subarray(0, count)
    }
  }

  return {
    sizeBytes,
    stream({ range, signal }: ReadOptions = {}) {
      return Readable.from(chunks(wholeOr(range, sizeBytes, name)), { objectMode: false, ...(signal && { signal }) })
    },
    async *lend({ range, signal } = {}) {
      const { start, end } = wholeOr(range, sizeBytes, name)
      const span = { fd, name, start, sizeBytes: end - start + 1 }
      const read = (buffer: Buffer, done: number) => {
        signal?.throwIfAborted()
        return using(() => orFail(`read ${name}`, () => readSome(span, buffer, done)))
      }
      yield* lendFile(span, async (buffer, done) => read(buffer, done))
    },
    sendTo: (sink, { range, signal } = {}) =>
      using(() =>
        orFail(`send ${name}`, async () => sendFile(fd, name, wholeOr(range, sizeBytes, name), sink, signal)),
      ),
    close() {
      closing ??= Promise.allSettled(uses).then(() => closeFile(fd))
      return closing
    },
  }
}
