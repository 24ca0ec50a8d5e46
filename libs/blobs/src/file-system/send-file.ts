import type { Writable } from 'node:stream'
import type { ByteRange } from '@berth/oci'
import { BlobStoreError } from '../store/errors.ts'
import { sendBuffers } from '../store/send-buffers.ts'
import { releasesBuffers, type SinkWriter, writeToSink } from '../store/sink-writer.ts'
import { readInto } from './descriptors.ts'

type Span = { fd: number; name: string; start: number; sizeBytes: number }

/**
 * Writes a range of a file to a sink with two buffers: the next bytes are read while the last ones are written. Resolves
 * only when every byte of the range is handed over.
 */
export async function sendFile(
  fd: number,
  name: string,
  { start, end }: ByteRange,
  sink: Writable,
  signal?: AbortSignal,
): Promise<void> {
  const span = { fd, name, start, sizeBytes: end - start + 1 }
  const writer = writeToSink(sink, signal)
  try {
    if (span.sizeBytes <= 64 << 10) await sendAtOnce(span, writer)
    else if (releasesBuffers(sink)) await sendPooled(span, writer)
    else await sendFresh(span, writer)
  } catch (error) {
    // Without the error: this promise tells it, and a sink without a listener would end the process with it.
    if (writer.wroteSome) sink.destroy()
    throw error
  } finally {
    writer.stop()
  }
}

async function sendAtOnce(span: Span, writer: SinkWriter): Promise<void> {
  if (span.sizeBytes === 0) return
  const buffer = Buffer.allocUnsafe(span.sizeBytes)
  for (let done = 0; done < span.sizeBytes; ) {
    done += await readSome(span, buffer.subarray(done), done)
  }
  await writer.write(buffer)
}

async function sendPooled(span: Span, writer: SinkWriter): Promise<void> {
  let current = sendBuffers.take()
  let next = sendBuffers.take()
  let reading = readSome(span, current, 0)
  try {
    for (let done = 0, count = await reading; ; count = await reading) {
      done += count
      const full = current
      current = next
      next = full
      if (done < span.sizeBytes) reading = readSome(span, current, done)
      // The disk may fail while a slow client takes what was read before: that is heard when these bytes are needed.
      reading.catch(() => undefined)
      await writer.write(count === full.length ? full : full.subarray(0, count))
      if (done === span.sizeBytes) break
    }
  } finally {
    // The thread that reads must be done with its buffer before another read gets it.
    await Promise.allSettled([reading])
    for (const buffer of [current, next]) {
      // After a broken write the socket may still hold its buffer; then neither is used again.
      if (writer.holdsChunk) sendBuffers.lose()
      else sendBuffers.give(buffer)
    }
  }
}

/** The bytes of a range in two buffers: the next are read while the reader has the last ones, which are its own until it asks for more. */
export async function* lendFile(
  { sizeBytes }: Pick<Span, 'sizeBytes'>,
  read: (buffer: Buffer, offset: number) => Promise<number>,
): AsyncGenerator<Buffer> {
  if (sizeBytes === 0) return
  let current = sendBuffers.take()
  let next = sendBuffers.take()
  let reading = read(current, 0)
  try {
    for (let done = 0, count = await reading; ; count = await reading) {
      done += count
      const full = current
      current = next
      next = full
      if (done < sizeBytes) reading = read(current, done)
      reading.catch(() => undefined)
      yield count === full.length ? full : full.subarray(0, count)
      if (done === sizeBytes) break
    }
  } finally {
    // The thread that reads must be done with its buffer before another read gets it.
    await Promise.allSettled([reading])
    for (const buffer of [current, next]) sendBuffers.give(buffer)
  }
}

async function sendFresh(span: Span, writer: SinkWriter): Promise<void> {
  for (let done = 0; done < span.sizeBytes; ) {
    const buffer = Buffer.allocUnsafe(Math.min(256 << 10, span.sizeBytes - done))
    const count = await readSome(span, buffer, done)
    done += count
    await writer.write(buffer.subarray(0, count))
  }
}

/** Reads at most a buffer full, at an offset within the span. Throws when the file ends before the span does. */
export async function readSome(span: Span, buffer: Uint8Array, offset: number): Promise<number> {
  const wanted = Math.min(buffer.length, span.sizeBytes - offset)
  const count = await readInto(span.fd, buffer, wanted, span.start + offset)
  if (count > 0) return count
  throw new BlobStoreError('damaged', `${span.name} ended ${span.sizeBytes - offset} bytes early; scrub the store`)
}
