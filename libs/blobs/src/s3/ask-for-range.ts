import type { IncomingMessage } from 'node:http'
import type { ByteRange } from '@berth/oci'
import { BlobStoreError } from '../store/errors.ts'
import { idleError } from './failure.ts'
import { type ContentRange, parseContentRange } from './range-head.ts'
import { RangeAnswer } from './read-connections.ts'
import type { S3 } from './requests.ts'

/** The bytes of a range on their way. */
export type Answer = {
  /** Which bytes of how many they are, where the server tells. */
  range: ContentRange | undefined
  /** What came, lent until the next call; `undefined` after the last bytes. Throws when the answer breaks off. */
  next(): Promise<Buffer | undefined>
  /** `isHeld`: somebody may still read from what was lent. */
  close(isHeld: boolean): void
}

/** Asks for a range of an object. `undefined`: there is no such object; 'beyond': it has none of these bytes. */
export async function askForRange(
  s3: S3,
  { key, name }: { key: string; name: string },
  { start, end }: ByteRange,
  signal: AbortSignal | undefined,
): Promise<Answer | 'beyond' | undefined> {
  const headers = { range: `bytes=${start}-${end}` }
  const response = (await s3.find(`read ${name}`, { signal, streams: true }, (client) =>
    client.makeRequestAsync({ method: 'GET', bucketName: s3.bucket, objectName: key, headers }, '', [206, 416]),
  )) as IncomingMessage | RangeAnswer | undefined
  if (response?.statusCode === 416 && !(response instanceof RangeAnswer)) {
    response.resume()
    return 'beyond'
  }
  const answer = !response || response instanceof RangeAnswer ? response : answerOf(response, s3.idleTimeoutMs)
  if (!answer?.range || answer.range.start === start) return answer
  answer.close(false)
  throw new BlobStoreError('damaged', `the object store gave other bytes of ${name} than were asked for`)
}

/** An answer of node's client. */
function answerOf(response: IncomingMessage, idleTimeoutMs: number): Answer {
  const chunks: AsyncIterator<Buffer> = response[Symbol.asyncIterator]()
  return {
    range: parseContentRange(response.headers['content-range']),
    async next() {
      // Only this is timed: a slow reader of ours is no fault of the object store.
      const late = setTimeout(() => response.destroy(idleError(idleTimeoutMs)), idleTimeoutMs)
      try {
        const { done, value } = await chunks.next()
        return done ? undefined : value
      } finally {
        clearTimeout(late)
      }
    },
    close() {
      if (!response.readableEnded) response.destroy()
    },
  }
}
