import type { Digest } from '@berth/oci'
import { type Answer, discard } from './egress/egress.ts'
import { connectionError, UpstreamError } from './egress/upstream-error.ts'
import { isTransient, type Patience, retrying } from './rate-limits/retry.ts'

/**
 * A blob, its size where its descriptor says one (schema 1 has none, and then the answer's is taken), and the byte to begin
 * at: the first one if nothing is said.
 */
export type WantedBlob = { digest: Digest; sizeBytes: number | undefined; from?: number }

/** Where the bytes come from: asks with these headers. Throws `UpstreamError` for what is no success. */
export type AskForBytes = (headers: Record<string, string>) => Promise<Answer>

type Limits = { limit: <T>(work: () => Promise<T>) => Promise<T>; patience: Patience }

/**
 * Streams a blob. A transfer that breaks off goes on from the last byte that came, by Range; an upstream that does not know
 * ranges is read again and what came already is skipped. Never gives more bytes than the descriptor said, and none at all where
 * the upstream says another size.
 */
export async function* readBlob(ask: AskForBytes, blob: WantedBlob, limits: Limits): AsyncIterable<Uint8Array> {
  const { limit, patience } = limits
  const { retries, signal } = patience
  let position = blob.from ?? 0
  let { sizeBytes } = blob
  if (position > 0 && position === sizeBytes) return
  for (let cuts = 0; ; cuts++) {
    const startedAt = position
    try {
      // The place in the line is for the answer's head; the body flows at the pace at which it is stored.
      const answer = await retrying(patience, () => limit(() => begin(ask, blob.digest, startedAt)))
      sizeBytes ??= sizeOf(answer, blob.digest)
      checkSize(answer, blob.digest, sizeBytes)
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
      throw shortBody(answer.host, blob.digest, position, sizeBytes)
    } catch (error) {
      signal?.throwIfAborted()
      if (startedAt > 0 && isBeyondEnd(error)) throw shortBody(error.host, blob.digest, startedAt, sizeBytes)
      // A transfer that makes headway may be cut any number of times.
      if (position > startedAt) cuts = 0
      if (!isTransient(error) || cuts >= retries) throw error
      patience.onRetry?.(error)
    }
  }
}

function sizeOf({ totalBytes, host }: Begun, digest: Digest): number {
  if (totalBytes !== undefined && Number.isSafeInteger(totalBytes)) return totalBytes
  throw new UpstreamError('protocol', `${host} does not say how long ${digest} is`, { host })
}

/** A whole answer of another size is refused before it gives a byte, while whoever asked can still be told why. */
function checkSize({ answer, host, totalBytes = Number.NaN }: Begun, digest: Digest, sizeBytes: number): void {
  if (answer.status === 206 || Number.isNaN(totalBytes) || totalBytes === sizeBytes) return
  discard(answer)
  if (totalBytes < sizeBytes) throw shortBody(host, digest, totalBytes, sizeBytes)
  const message = `${host} has ${totalBytes} bytes under ${digest}, which the manifest says is ${sizeBytes} bytes long`
  throw new UpstreamError('bad_digest', message, { host })
}

/** That there is nothing at the place from which it was to go on: what came before was all of it. */
function isBeyondEnd(error: unknown): error is UpstreamError {
  return error instanceof UpstreamError && error.status === 416
}

function shortBody(host: string, digest: Digest, gaveBytes: number, sizeBytes: number | undefined): UpstreamError {
  return new UpstreamError('short_body', `${host} gave ${gaveBytes} of the ${sizeBytes} bytes of ${digest}`, { host })
}

type Begun = {
  answer: Answer
  body: AsyncIterable<Uint8Array>
  skipBytes: number
  host: string
  totalBytes: number | undefined
}

async function begin(ask: AskForBytes, digest: Digest, from: number): Promise<Begun> {
  const answer = await ask(from > 0 ? { range: `bytes=${from}-` } : {})
  const { host } = answer.url
  const body = translate(answer.body, host, digest)
  if (answer.status !== 206) {
    const length = answer.headers['content-length']
    return { answer, body, skipBytes: from, host, totalBytes: length === undefined ? undefined : Number(length) }
  }
  const [, start, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(answer.headers['content-range'] ?? '') ?? []
  if (Number(start) !== from) {
    discard(answer)
    throw new UpstreamError('protocol', `${host} answered with another part of ${digest} than it was asked for`, {
      host,
    })
  }
  return { answer, body, skipBytes: 0, host, totalBytes: Number(total) }
}

async function* translate(body: AsyncIterable<Uint8Array>, host: string, digest: Digest): AsyncIterable<Uint8Array> {
  try {
    yield* body
  } catch (error) {
    throw connectionError(host, `GET ${digest}`, error)
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
