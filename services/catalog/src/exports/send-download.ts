import { once } from 'node:events'
import type { BlobStore, OpenBlob } from '@berth/blobs'
import { type ByteRange, type Digest, parseRanges } from '@berth/oci'
import { type ApiRequest, Problem, type Sql } from '@berth/service'
import { type Member, piecesOf } from './members.ts'
import { readAhead } from './read-ahead.ts'

/** What is sent: a part of an archive, all of it at most, under a name. `digest` is that of its bytes. */
export type Download = { exportId: string; archiveBytes: number; name: string; digest: Digest; span: ByteRange }

/** Sends a download, or the range of it that is asked for: nothing of it lies anywhere, so its bytes are taken from the store one after the other. */
export async function sendDownload(
  { sql, blobs }: { sql: Sql; blobs: BlobStore },
  { response, signal }: Pick<ApiRequest, 'response' | 'signal'>,
  { exportId, archiveBytes, name, digest, span }: Download,
): Promise<void> {
  const request = response.req
  const sizeBytes = span.end - span.start + 1
  const etag = `"${digest}"`
  const headers = {
    'accept-ranges': 'bytes',
    'content-type': 'application/x-tar',
    'content-disposition': `attachment; filename="${name}"`,
    etag,
    'cache-control': 'private, no-store',
  }
  if (request.headers['if-none-match'] === etag) {
    response.writeHead(304, headers).end()
    return
  }
  const range = wantedRange(request.headers, etag, sizeBytes)
  const { start, end } = range ?? { start: 0, end: sizeBytes - 1 }
  response.writeHead(range ? 206 : 200, {
    ...headers,
    'content-length': end - start + 1,
    ...(range ? { 'content-range': `bytes ${start}-${end}/${sizeBytes}` } : {}),
  })
  if (request.method === 'HEAD') {
    response.end()
    return
  }
  try {
    await sendSpan(
      { sql, blobs },
      { exportId, archiveBytes },
      { start: span.start + start, end: span.start + end },
      { response, signal },
    )
  } catch (error) {
    // Whoever left asks for the rest later, or not.
    if (!response.destroyed && !signal.aborted) throw error
  }
}

async function sendSpan(
  { sql, blobs }: { sql: Sql; blobs: BlobStore },
  { exportId, archiveBytes }: Pick<Download, 'exportId' | 'archiveBytes'>,
  span: ByteRange,
  { response, signal }: Pick<ApiRequest, 'response' | 'signal'>,
): Promise<void> {
  let left = span.end - span.start + 1
  for await (const { piece, small } of readAhead(blobs, piecesOf(sql, exportId, archiveBytes, span))) {
    signal.throwIfAborted()
    const bytes = 'bytes' in piece ? piece.bytes : small?.bytes?.subarray(piece.range.start, piece.range.end + 1)
    if (bytes) {
      left -= bytes.length
      if (!response.write(bytes)) await once(response, 'drain', { signal })
      continue
    }
    if (!('member' in piece)) continue
    left -= piece.range.end - piece.range.start + 1
    const open = await openMember({ sql, blobs }, piece.member)
    // The answer breaks off: a client must not take it for complete.
    if (!open) throw new Error(`${piece.member.digest}, which export ${exportId} holds, is not in the store`)
    try {
      await open.sendTo(response, { range: piece.range, signal })
    } finally {
      await open.close()
    }
  }
  // Whoever deletes an export in the middle of its download ends that: the client waits for no more.
  if (left > 0) throw new Problem(410, 'export_gone', 'The export was let go while it was downloaded.')
  response.end()
}

/** What was damaged and came back lies under another generation than the one that was noted. */
async function openMember(
  { sql, blobs }: { sql: Sql; blobs: BlobStore },
  { digest, generation }: Member,
): Promise<OpenBlob | undefined> {
  const open = await blobs.open({ digest, generation })
  if (open) return open
  const [now] = await sql.query<{ generation: number }>(
    `select generation from blob where digest = $1 and state = 'present'`,
    [digest],
  )
  return now && blobs.open({ digest, generation: now.generation })
}

/**
 * The range that is asked for; several are answered by the whole (RFC 9110 §14.2 lets a server do so). With `If-Range` only when that names
 * these bytes. Throws 416.
 */
function wantedRange(
  headers: { range?: string | undefined; 'if-range'?: string | undefined },
  etag: string,
  sizeBytes: number,
): ByteRange | undefined {
  if (headers.range === undefined) return undefined
  if (headers['if-range'] !== undefined && headers['if-range'] !== etag) return undefined
  const ranges = parseRanges(headers.range, sizeBytes)
  if (ranges === 'unsatisfiable')
    throw new Problem(416, 'range_not_satisfiable', `The download has ${sizeBytes} bytes.`, {
      headers: { 'content-range': `bytes */${sizeBytes}` },
    })
  return ranges?.length === 1 ? ranges[0] : undefined
}
