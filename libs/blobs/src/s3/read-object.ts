import type { ByteRange } from '@berth/oci'
import { BlobStoreError } from '../store/errors.ts'
import { type Answer, askForRange } from './ask-for-range.ts'
import { pause, type S3 } from './requests.ts'

export type StoredObject = { key: string; name: string; sizeBytes: number }

type How = {
  signal?: AbortSignal | undefined
  /** Gives an answer with this range, where it has been asked for; not before the reading begins, which then ends it. */
  begun?: () => Answer | undefined
}

// As sockets of node give them: takers of uploads have reserved no memory for larger ones.
const chunkBytes = 64 << 10

/** The bytes of a range, in memory of their own. */
export async function* readObject(
  s3: S3,
  object: StoredObject,
  range: ByteRange,
  how: How = {},
): AsyncGenerator<Buffer> {
  for await (const lent of lentChunks(s3, object, range, how)) {
    for (let at = 0; at < lent.length; at += chunkBytes) yield Buffer.from(lent.subarray(at, at + chunkBytes))
  }
}

/**
 * The bytes of a range, each chunk lent until the next one; a connection that breaks off is taken up again where it broke. `isHeld`
 * says at the end whether somebody may still read from the last chunk.
 */
export async function* lentChunks(
  s3: S3,
  object: StoredObject,
  { start, end }: ByteRange,
  { signal, begun, isHeld = () => false }: How & { isHeld?: () => boolean },
): AsyncGenerator<Buffer> {
  let answer = begun?.()
  let position = start
  let failures = 0
  while (position <= end) {
    const from = position
    try {
      answer ??= await askAgain(s3, object, { start: from, end }, signal)
      for (let chunk = await answer.next(); chunk; chunk = await answer.next()) {
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
    } finally {
      answer?.close(isHeld())
      answer = undefined
    }
  }
}

async function askAgain(s3: S3, object: StoredObject, range: ByteRange, signal: AbortSignal | undefined) {
  const answer = await askForRange(s3, object, range, signal)
  if (answer === undefined) throw damaged(object, 'was removed while it was being read')
  if (answer === 'beyond') throw damaged(object, `has no byte ${range.start}; it is shorter than it was`)
  return answer
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
