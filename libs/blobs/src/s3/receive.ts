import { hash } from 'node:crypto'
import type { HashThreads } from '../hashing/hash-threads.ts'
import { readHead, type SourceHead, type SourceReader } from '../source-reader.ts'
import type { Received } from '../verify.ts'
import { PartWriter } from './part-writer.ts'
import type { S3 } from './requests.ts'

/** Up to here a source is hashed where it is and sent in one request. */
const inlineBytes = 128 << 10

type Receiving = {
  algorithm: string
  threads: HashThreads
  signal: AbortSignal | undefined
  check: (received: Received) => void
}

/**
 * Stores what a source gives, to its end or break, under a key. `check` sees size and hash before the key becomes
 * visible; when it throws, or anything else does, nothing becomes so.
 */
export async function receiveObject(s3: S3, key: string, reader: SourceReader, how: Receiving): Promise<Received> {
  const head = await readHead(reader, inlineBytes)
  if (!head.ended) return receiveLong(s3, key, head, reader, how)
  const bytes = Buffer.concat(head.chunks)
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
  head: SourceHead,
  reader: SourceReader,
  { threads, algorithm, signal, check }: Receiving,
): Promise<Received> {
  const writer = new PartWriter(s3, key, threads.start(algorithm), signal)
  try {
    for (const chunk of head.chunks) await writer.push(chunk)
    for (;;) {
      writer.idle()
      const chunk = await reader.next()
      writer.busy()
      if (!chunk) break
      await writer.push(chunk)
    }
    return await writer.finish(check)
  } catch (error) {
    await writer.abandon()
    throw error
  }
}
