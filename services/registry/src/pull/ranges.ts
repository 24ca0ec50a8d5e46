import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { OpenBlob } from '@berth/blobs'
import { type ByteRange, OciError, parseRanges } from '@berth/oci'
import type { Exchange } from '../exchange/exchange.ts'

/** Whether more than one range is asked for. */
export function asksForSeveral({ headers }: IncomingMessage): boolean {
  return headers.range?.includes(',') === true
}

/**
 * The ranges that a request asks for; `undefined` for all of the blob. With `If-Range` only when that names the blob as it
 * is: our tags are strong and we give no dates, so anything else is another state (RFC 9110 §13.1.5). Throws 416.
 */
export function wantedRanges(
  { headers }: IncomingMessage,
  { etag, sizeBytes }: { etag: string; sizeBytes: number },
): ByteRange[] | undefined {
  if (headers.range === undefined) return undefined
  const condition = headers['if-range']
  if (condition !== undefined && condition !== etag) return undefined
  const ranges = parseRanges(headers.range, sizeBytes)
  if (ranges !== 'unsatisfiable') return ranges
  throw new OciError('RANGE_INVALID', `the blob has ${sizeBytes} bytes`, {
    headers: { 'content-range': `bytes */${sizeBytes}` },
  })
}

/**
 * Answers several ranges as `multipart/byteranges` (RFC 9110 §15.3.7.2), in the order asked. Each part goes from the store
 * to the client as a single range does; only the lines between them are made here.
 */
export async function sendParts(
  { response, signal }: Pick<Exchange, 'response' | 'signal'>,
  open: OpenBlob,
  { headers, ranges }: { headers: Record<string, string>; ranges: readonly ByteRange[] },
): Promise<void> {
  // Random, so that nobody can store a blob that holds it.
  const boundary = randomUUID()
  const heads = ranges.map(
    ({ start, end }, i) =>
      `${i === 0 ? '' : '\r\n'}--${boundary}\r\ncontent-type: ${headers['content-type']}\r\n` +
      `content-range: bytes ${start}-${end}/${open.sizeBytes}\r\n\r\n`,
  )
  const tail = `\r\n--${boundary}--\r\n`
  const ofParts = ranges.reduce((sum, { start, end }) => sum + end - start + 1, 0)
  response.writeHead(206, {
    ...headers,
    'content-type': `multipart/byteranges; boundary=${boundary}`,
    'content-length': heads.join('').length + ofParts + tail.length,
  })
  for (const [i, range] of ranges.entries()) {
    response.write(heads[i])
    await open.sendTo(response, { range, signal })
  }
  response.end(tail)
}
