import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import type { ByteRange } from '@berth/oci'
import { BlobStoreError } from '../store/errors.ts'
import { wholeOr } from '../store/ranges.ts'
import { writeToSink } from '../store/sink-writer.ts'
import type { OpenBlob, ReadOptions } from '../store/store.ts'
import { pause, type S3 } from './requests.ts'
import { idleError } from './transport.ts'

export type StoredObject = { key: string; name: string; sizeBytes: number }

/** A blob in the bucket; each read is a request of its own. */
export function openObject(s3: S3, object: StoredObject): OpenBlob {
  return {
    sizeBytes: object.sizeBytes,
    stream({ range, signal }: ReadOptions = {}) {
      const chunks = readObject(s3, object, wholeOr(range, object.sizeBytes, object.name), signal)
      return Readable.from(chunks, { objectMode: false, ...(signal && { signal }) })
    },
    async sendTo(sink, { range, signal } = {}) {
      const chunks = readObject(s3, object, wholeOr(range, object.sizeBytes, object.name), signal)
      const writer = writeToSink(sink, signal)
      try {
        for await (const chunk of chunks) await writer.write(chunk)
      } catch (error) {
        // Without the error: this promise tells it, and a sink without a listener would end the process with it.
        if (writer.wroteSome) sink.destroy()
        throw error
      } finally {
        writer.stop()
      }
    },
    async close() {
      // Nothing is held between reads.
    },
  }
}

/** The bytes of a range; a connection that breaks off is taken up again where it broke. */
export async function* readObject(
  s3: S3,
  object: StoredObject,
  { start, end }: ByteRange,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  let position = start
  let failures = 0
  while (position <= end) {
    const from = position
    try {
      const response = await request(s3, object, from, end, signal)
      for await (const chunk of timedChunks(response, s3.idleTimeoutMs)) {
        position += chunk.length
        if (position > end + 1) throw damaged(object, 'gave more bytes than were asked for')
        yield chunk
      }
      if (position <= end) throw new Error(`the answer ended ${end + 1 - position} bytes early`)
    } catch (error) {
      signal?.throwIfAborted()
      // Progress makes it a new failure, not the next in a row.
      failures = position > from ? 1 : failures + 1
      if (error instanceof BlobStoreError || failures > s3.retries) throw brokenOff(object, error)
      await pause(failures, signal)
    }
  }
}

async function request(
  s3: S3,
  object: StoredObject,
  start: number,
  end: number,
  signal: AbortSignal | undefined,
): Promise<IncomingMessage> {
  const { key, name } = object
  const response = await s3.find(`read ${name}`, { signal, streams: true }, (client) =>
    client.makeRequestAsync(
      {
        method: 'GET',
        bucketName: s3.bucket,
        objectName: key,
        headers: { range: `bytes=${start}-${end}` },
      },
      '',
      [206],
    ),
  )
  if (!response) throw damaged(object, 'was removed while it was being read')
  return response
}

/** Only the wait for the next chunk is timed: a slow reader of ours is no fault of the object store. */
async function* timedChunks(response: IncomingMessage, idleTimeoutMs: number): AsyncGenerator<Buffer> {
  let waiting = true
  const timer = setTimeout(() => {
    if (waiting) response.destroy(idleError(idleTimeoutMs))
  }, idleTimeoutMs)
  try {
    for await (const chunk of response) {
      waiting = false
      yield chunk
      waiting = true
      timer.refresh()
    }
  } finally {
    clearTimeout(timer)
  }
}

function damaged({ name }: StoredObject, what: string): BlobStoreError {
  return new BlobStoreError('damaged', `${name} ${what}`)
}

function brokenOff({ name }: StoredObject, cause: unknown): unknown {
  if (cause instanceof BlobStoreError) return cause
  return new BlobStoreError('unavailable', `the object store broke off again and again while sending ${name}`, {
    cause,
  })
}
