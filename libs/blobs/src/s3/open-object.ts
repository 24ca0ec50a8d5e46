import { Readable } from 'node:stream'
import type { ByteRange } from '@berth/oci'
import { wholeOr } from '../store/ranges.ts'
import { releasesBuffers, writeToSink } from '../store/sink-writer.ts'
import type { FirstRead, OpenBlob, ReadOptions } from '../store/store.ts'
import { type Answer, askForRange } from './ask-for-range.ts'
import { lentChunks, readObject, type StoredObject } from './read-object.ts'
import type { S3 } from './requests.ts'

/** What is read first has been asked for already. */
type Begun = { range: ByteRange; answer: Answer }

/** A blob in the bucket; each read is a request of its own. */
export function openObject(s3: S3, object: StoredObject, begun?: Begun): OpenBlob {
  const rangeOf = (range: ByteRange | undefined) => wholeOr(range, object.sizeBytes, object.name)
  const takeBegun = ({ start, end }: ByteRange): Answer | undefined => {
    if (begun?.range.start !== start || begun.range.end !== end) return undefined
    const { answer } = begun
    begun = undefined
    return answer
  }
  return {
    sizeBytes: object.sizeBytes,
    stream({ range, signal }: ReadOptions = {}) {
      const wanted = rangeOf(range)
      const chunks = readObject(s3, object, wanted, { signal, begun: () => takeBegun(wanted) })
      return Readable.from(chunks, { objectMode: false, ...(signal && { signal }) })
    },
    lend({ range, signal } = {}) {
      const wanted = rangeOf(range)
      return lentChunks(s3, object, wanted, { signal, begun: () => takeBegun(wanted) })
    },
    async sendTo(sink, { range, signal } = {}) {
      const wanted = rangeOf(range)
      const writer = writeToSink(sink, signal)
      const read = releasesBuffers(sink) ? lentChunks : readObject
      const how = { signal, begun: () => takeBegun(wanted), isHeld: () => writer.holdsChunk }
      try {
        for await (const chunk of read(s3, object, wanted, how)) await writer.write(chunk)
      } catch (error) {
        // Without the error: this promise tells it, and a sink without a listener would end the process with it.
        if (writer.wroteSome) sink.destroy()
        throw error
      } finally {
        writer.stop()
      }
    },
    async close() {
      begun?.answer.close(false)
      begun = undefined
    },
  }
}

/**
 * Opens an object by asking for what is read first, which says all that a look-up would. 'unclear' when the answer does not tell the
 * size; then it has to be looked up.
 */
export async function openByReading(
  s3: S3,
  { key, name }: Pick<StoredObject, 'key' | 'name'>,
  { sizeBytes, range, signal }: FirstRead,
): Promise<OpenBlob | undefined | 'unclear'> {
  // Of nothing there is no range.
  if (sizeBytes === 0) return 'unclear'
  const wanted = wholeOr(range, sizeBytes, name)
  const answer = await askForRange(s3, { key, name }, wanted, signal)
  if (answer === undefined) return undefined
  if (answer === 'beyond') return 'unclear'
  if (answer.range) return openObject(s3, { key, name, sizeBytes: answer.range.totalBytes }, { range: wanted, answer })
  answer.close(false)
  return 'unclear'
}
