import { OutgoingMessage } from 'node:http'
import { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import { BlobStoreError } from './errors.ts'

/** A sink written chunk by chunk, each only when the one before is gone: that is the back-pressure. */
export type SinkWriter = {
  /** Resolves when the sink has taken the bytes; rejects when it closes or the signal aborts, even while waiting. */
  write(chunk: Uint8Array): Promise<void>
  readonly wroteSome: boolean
  /** `true` while the sink may still read from the last chunk. */
  readonly holdsChunk: boolean
  stop(): void
}

export function writeToSink(sink: Writable, signal?: AbortSignal): SinkWriter {
  let broken: { cause: unknown } | undefined
  let onBreak: ((cause: unknown) => void) | undefined
  let wroteSome = false
  let holdsChunk = false

  const fail = (cause: unknown) => {
    broken ??= { cause }
    onBreak?.(broken.cause)
  }
  // Not as the system tells it: EPIPE and ECONNRESET would pass for trouble with a disk or a database of ours.
  const left = (cause?: unknown) => new BlobStoreError('reader_left', 'the reader of the blob went away', { cause })
  const onClose = () => fail(left())
  const onError = (error: unknown) => fail(left(error))
  const onAbort = () => fail(signal?.reason)
  sink.on('close', onClose)
  sink.on('error', onError)
  signal?.addEventListener('abort', onAbort, { once: true })
  if (signal?.aborted) onAbort()
  else if (sink.destroyed || sink.writableEnded) onClose()

  return {
    get wroteSome() {
      return wroteSome
    },
    get holdsChunk() {
      return holdsChunk
    },
    write: (chunk) =>
      new Promise((resolve, reject) => {
        if (broken) return reject(broken.cause)
        onBreak = reject
        wroteSome = true
        holdsChunk = true
        sink.write(chunk, (error) => {
          if (error) return reject(left(error))
          holdsChunk = false
          resolve()
        })
      }),
    stop() {
      sink.off('close', onClose)
      sink.off('error', onError)
      signal?.removeEventListener('abort', onAbort)
    },
  }
}

/**
 * Whether a sink is done with a buffer when it calls back. Sockets are (the kernel has the bytes); a transform may have
 * passed the buffer on to a reader that reads it later.
 */
export function releasesBuffers(sink: Writable): boolean {
  return sink instanceof OutgoingMessage || sink instanceof Socket
}
