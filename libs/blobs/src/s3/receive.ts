import { hash } from 'node:crypto'
import type { HashThreads } from '../hashing/hash-threads.ts'
import { readHead, type SourceReader } from '../store/source-reader.ts'
import type { Received } from '../store/verify.ts'
import { PartWriter, partSlabs } from './part-writer.ts'
import type { S3 } from './requests.ts'

/** Up to here a source is hashed where it is and sent in one request. */
const inlineBytes = 128 << 10
const smallBytes = 16 << 10
/** With the chunk that shows that there is more, as large as sockets give them, and what waits in the socket meanwhile. */
const headBytes = inlineBytes + (64 << 10) + (128 << 10)

type Receiving = {
  algorithm: string
  threads: HashThreads
  signal: AbortSignal | undefined
  /** Ends the wait for memory. */
  waiting: AbortSignal | undefined
  check: (received: Received) => void
}

/**
 * Stores what a source gives, to its end or break, under a key. `check` sees size and hash before the key becomes
 * visible; when it throws, or anything else does, nothing becomes so.
 */
export async function receiveObject(s3: S3, key: string, reader: SourceReader, how: Receiving): Promise<Received> {
  // What is small does not wait. Before more is read than sockets hold anyway there has to be memory for it.
  const first = await readHead(reader, smallBytes)
  if (first.ended) return receiveShort(s3, key, first.chunks, how)
  await partSlabs.reserve(headBytes, { signal: how.waiting })
  let isMoved = false
  try {
    const rest = await readHead(reader, inlineBytes - first.sizeBytes)
    const chunks = [...first.chunks, ...rest.chunks]
    if (rest.ended) return await receiveShort(s3, key, chunks, how)
    isMoved = true
    return await receiveLong(s3, key, chunks, reader, how)
  } finally {
    if (!isMoved) partSlabs.release(headBytes)
  }
}

async function receiveShort(s3: S3, key: string, chunks: Uint8Array[], how: Receiving): Promise<Received> {
  const bytes = Buffer.concat(chunks)
  const received = { sizeBytes: bytes.length, hex: hash(how.algorithm, bytes, 'hex') }
  how.check(received)
  await s3.run(`store ${key}`, { signal: how.signal }, (client) =>
    client.makeRequestAsyncOmit({ method: 'PUT', bucketName: s3.bucket, objectName: key, headers: {} }, bytes),
  )
  return received
}

async function receiveLong(
  s3: S3,
  key: string,
  head: Uint8Array[],
  reader: SourceReader,
  { threads, algorithm, signal, waiting, check }: Receiving,
): Promise<Received> {
  const writer = new PartWriter(s3, key, threads.start(algorithm), { signal, waiting, reservedBytes: headBytes })
  try {
    const put = async (chunk: Uint8Array) => {
      await writer.push(chunk)
      reader.done(chunk)
    }
    for (const chunk of head) await put(chunk)
    for (;;) {
      writer.idle()
      const chunk = await reader.next()
      writer.busy()
      if (!chunk) break
      await put(chunk)
    }
    return await writer.finish(check)
  } catch (error) {
    await writer.abandon()
    throw error
  }
}
