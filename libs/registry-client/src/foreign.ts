import type { AskForBytes } from './blob.ts'
import { discard, type Egress } from './egress/egress.ts'
import { retryAfterSeconds } from './egress/limit-notice.ts'
import { readBytes } from './egress/read-text.ts'
import { statusError, UpstreamError } from './egress/upstream-error.ts'

/**
 * Asks for the bytes of a layer that a manifest only points to by URL (image-spec, layer.md "Non-Distributable Layers"). Nothing
 * vouches for that address, so it gets no credentials and no header of the remote, and must be https unless `insecure`.
 */
export function askForeign(
  egress: Egress,
  text: string,
  { insecure, signal }: { insecure: boolean; signal: AbortSignal | undefined },
): AskForBytes {
  const url = checkForeign(text, insecure)
  return async (headers) => {
    const answer = await egress.send({ method: 'GET', url, headers, isForeign: true, signal })
    if (answer.status < 300) return answer
    discard(answer)
    throw statusError(
      url.host,
      'the request for a foreign layer',
      answer.status,
      retryAfterSeconds(answer.headers['retry-after']),
    )
  }
}

/** Reads a small file from somewhere else, under the same rules; `undefined` when it is not there. */
export async function readForeignFile(
  egress: Egress,
  text: string,
  { insecure, limitBytes, signal }: { insecure: boolean; limitBytes: number; signal: AbortSignal | undefined },
): Promise<Buffer | undefined> {
  try {
    const answer = await askForeign(egress, text, { insecure, signal })({})
    return await readBytes(answer, limitBytes, `a file of ${answer.url.host}`)
  } catch (error) {
    if (error instanceof UpstreamError && error.code === 'not_found') return undefined
    throw error
  }
}

function checkForeign(text: string, insecure: boolean): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const host = url?.host ?? ''
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    throw new UpstreamError('protocol', 'a manifest points to a foreign layer by something that is no web address', {
      host,
    })
  if (url.username || url.password)
    throw new UpstreamError('protocol', `a manifest points to a foreign layer at ${host} with credentials`, { host })
  if (url.protocol === 'http:' && !insecure)
    throw new UpstreamError('protocol', `a manifest points to a foreign layer at ${host} without TLS`, { host })
  return url
}
