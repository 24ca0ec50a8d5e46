import type { Digest } from '@berth/oci'
import { isTransient, retrying } from './retry.ts'
import type { Send } from './send.ts'
import { connectionError, UpstreamError } from './upstream-error.ts'

/** A blob, and its size where its descriptor says one: schema 1 has none, and then the answer's is taken. */
export type WantedBlob = { digest: Digest; sizeBytes: number | undefined }
type Wanted = {
  repository: string
  blob: WantedBlob
  retries: number
  signal: AbortSignal | undefined
}

/**
 * Streams a blob. A transfer that breaks off goes on from the last byte that came, by Range; an upstream that does not know
 * ranges is read again and what came already is skipped. Never gives more bytes than the descriptor said.
 */
export async function* readBlob(
  send: Send,
  limit: <T>(work: () => Promise<T>) => Promise<T>,
  wanted: Wanted,
): AsyncIterable<Uint8Array> {
  const { blob, retries, signal } = wanted
  let position = 0
  let { sizeBytes } = blob
  for (let cuts = 0; ; cuts++) {
    const startedAt = position
    try {
      // The place in the line is for the answer's head; the body flows at the pace of whoever stores it.
      const answer = await retrying(retries, signal, () => limit(() => request(send, wanted, startedAt)))
      sizeBytes ??= sizeOf(answer, blob.digest)
      for await (const chunk of skip(answer.body, answer.skipBytes)) {
        position += chunk.length
        if (position > sizeBytes)
          throw new UpstreamError(
            'bad_digest',
            `${answer.host} gave more than the ${sizeBytes} bytes of ${blob.digest}`,
            { host: answer.host },
          )
        yield chunk
      }
      if (position === sizeBytes) return
      throw new UpstreamError(
        'short_body',
        `${answer.host} gave ${position} of the ${sizeBytes} bytes of ${blob.digest}`,
        { host: answer.host },
      )
    } catch (error) {
      signal?.throwIfAborted()
      // Whoever makes headway may be cut as often as it likes.
      if (position > startedAt) cuts = 0
      if (!isTransient(error) || cuts >= retries) throw error
    }
  }
}

function sizeOf({ length, host }: { length: string | undefined; host: string }, digest: Digest): number {
  const sizeBytes = Number(length)
  if (length !== undefined && Number.isSafeInteger(sizeBytes)) return sizeBytes
  throw new UpstreamError('protocol', `${host} does not say how long ${digest} is`, { host })
}

async function request(
  send: Send,
  { repository, blob, signal }: Wanted,
  from: number,
): Promise<{ body: AsyncIterable<Uint8Array>; skipBytes: number; host: string; length: string | undefined }> {
  const path = `/v2/${repository}/blobs/${blob.digest}`
  const headers: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {}
  const answer = await send({ method: 'GET', path, repository, headers, signal })
  const { host } = answer.url
  const skipBytes = from > 0 && answer.status !== 206 ? from : 0
  return { body: translate(answer.body, host, path), skipBytes, host, length: answer.headers['content-length'] }
}

async function* translate(body: AsyncIterable<Uint8Array>, host: string, path: string): AsyncIterable<Uint8Array> {
  try {
    yield* body
  } catch (error) {
    throw connectionError(host, `GET ${path}`, error)
  }
}

async function* skip(body: AsyncIterable<Uint8Array>, bytes: number): AsyncIterable<Uint8Array> {
  let left = bytes
  for await (const chunk of body) {
    if (left >= chunk.length) left -= chunk.length
    else {
      yield left > 0 ? chunk.subarray(left) : chunk
      left = 0
    }
  }
}
