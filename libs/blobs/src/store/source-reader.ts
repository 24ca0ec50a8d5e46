import { BlobTooLarge, SizeMismatch } from './errors.ts'
import type { WriteOptions } from './store.ts'

/**
 * A source read chunk by chunk. A source that fails, or an abort, looks like its end, with the cause in `broke`: what
 * had come before may be worth keeping. A source that is too long throws at once.
 */
export type SourceReader = {
  next(): Promise<Uint8Array | undefined>
  /** Says that a chunk is read no more. With `givesChunks` its memory is freed at once. */
  done(chunk: Uint8Array): void
  /** Set once the source has failed or the signal has aborted. */
  readonly broke: { cause: unknown } | undefined
  /** Lets go of the source and the signal. */
  stop(): void
}

export function readSource(source: AsyncIterable<Uint8Array>, options: WriteOptions = {}): SourceReader {
  const { signal } = options
  const iterator = source[Symbol.asyncIterator]()
  let broke: { cause: unknown } | undefined
  let ended = false
  let sizeBytes = 0
  let wake: (() => void) | undefined
  const onAbort = () => {
    broke ??= { cause: signal?.reason }
    wake?.()
  }
  if (signal?.aborted) onAbort()
  signal?.addEventListener('abort', onAbort, { once: true })

  // One promise per chunk, woken by the chunk or the abort: racing one long-lived abort promise instead would hang a
  // reaction on it for every chunk of the upload.
  const step = () =>
    new Promise<Uint8Array | undefined>((resolve) => {
      wake = () => resolve(undefined)
      iterator.next().then(
        (result) => {
          if (result.done) ended = true
          resolve(result.done ? undefined : result.value)
        },
        (cause: unknown) => {
          ended = true
          broke ??= { cause }
          resolve(undefined)
        },
      )
    })

  return {
    get broke() {
      return broke
    },
    async next() {
      if (broke || ended) return undefined
      const chunk = await step()
      if (broke || !chunk) return undefined
      sizeBytes += chunk.length
      refuseTooLong(sizeBytes, options)
      return chunk
    },
    done(chunk) {
      if (options.givesChunks) giveBack(chunk)
    },
    stop() {
      signal?.removeEventListener('abort', onAbort)
      if (ended) return
      // A generator answers `return` only after its pending `next`, so it is not waited for; it is the source's own end.
      iterator.return?.().catch(ignoreLateFailure)
    },
  }
}

/**
 * Frees the memory of a chunk. Left to the garbage collector, which sees the small objects and not the large memory behind them, that of
 * hundreds of chunks is taken before any is used again: all of it cold, and new to the kernel.
 */
function giveBack({ buffer, byteLength }: Uint8Array): void {
  // A slice shares its memory with others.
  if (byteLength > 0 && buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0)
}

function refuseTooLong(sizeBytes: number, { limitBytes, expectedBytes }: WriteOptions): void {
  if (limitBytes !== undefined && sizeBytes > limitBytes) throw new BlobTooLarge(limitBytes)
  if (expectedBytes !== undefined && sizeBytes > expectedBytes) throw new SizeMismatch(expectedBytes, sizeBytes)
}

// The upload is over, for a reason that has been told; that its source then fails too is no news.
function ignoreLateFailure(): void {
  return undefined
}

/** What a source begins with: all of it when `ended`, else the first chunks, just past `limitBytes`. */
export type SourceHead = { chunks: Uint8Array[]; sizeBytes: number; ended: boolean }

/** Reads until the source ends (or breaks) or has given more than `limitBytes`. */
export async function readHead(reader: SourceReader, limitBytes: number): Promise<SourceHead> {
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  for (;;) {
    const chunk = await reader.next()
    if (!chunk) return { chunks, sizeBytes, ended: true }
    chunks.push(chunk)
    sizeBytes += chunk.length
    if (sizeBytes > limitBytes) return { chunks, sizeBytes, ended: false }
  }
}
