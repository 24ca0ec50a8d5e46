import { pipeline } from 'node:stream/promises'
import type { BlobKey, BlobStore, FirstRead, OpenBlob } from '@berth/blobs'
import type { CommandClient, SyncCommands } from '@berth/commands'
import { type ByteRange, type Digest, OciError } from '@berth/oci'
import { commonHeaders, type NamedExchange } from '../exchange/exchange.ts'
import type { ServedBlob } from '../model/lookup.ts'
import { awaitRemote } from './await-remote.ts'
import { sendParts, wantedRanges } from './ranges.ts'

/**
 * Answers with a blob or the ranges of it that were asked for: from the store, or else from the remote that has it. `onFound`
 * hears from which.
 */
export async function streamBlob(
  exchange: NamedExchange,
  blob: ServedBlob,
  { blobs, sync }: { blobs: BlobStore; sync: CommandClient<SyncCommands> },
  onFound?: (place: 'store' | 'remote') => void,
): Promise<void> {
  const { digest, sizeBytes } = blob
  const ranges = wantedRanges(exchange.request, { etag: etagOf(digest), sizeBytes })
  // Of several ranges the first.
  const first = { sizeBytes, range: ranges?.[0], signal: exchange.signal }
  const open = await openWhole(blobs, blob, first)
  if (open) {
    onFound?.('store')
    return sendStored(exchange, blob, open, ranges)
  }
  // RFC 9110 §14.2 lets a server ignore ranges; several of something that is still coming are not worth their trouble.
  const range = ranges?.length === 1 ? ranges[0] : undefined
  const arrival = await awaitRemote(sync, { digest, sizeBytes, range }, exchange)
  onFound?.('remote')
  if (arrival.kind === 'coming') {
    writeHead(exchange, blob, range)
    await pipeline(arrival.body, exchange.response)
    return
  }
  const arrived = await openWhole(blobs, { digest, generation: arrival.generation }, first)
  if (arrived) return sendStored(exchange, blob, arrived, ranges)
  throw new OciError('UNAVAILABLE', `the bytes of ${digest} are missing from the store, or damaged`, {
    headers: { 'retry-after': '60' },
  })
}

/**
 * What is shorter or longer than it was when it was stored counts as lost: with a head that promises more, a client would wait
 * for the rest.
 */
async function openWhole(
  blobs: BlobStore,
  { digest, generation }: BlobKey,
  first: FirstRead,
): Promise<OpenBlob | undefined> {
  const open = await blobs.open({ digest, generation }, first)
  if (!open || open.sizeBytes === first.sizeBytes) return open
  await open.close()
  return undefined
}

async function sendStored(
  exchange: NamedExchange,
  blob: ServedBlob,
  open: OpenBlob,
  ranges: readonly ByteRange[] | undefined,
): Promise<void> {
  const { response, signal } = exchange
  const [range, ...others] = ranges ?? []
  try {
    if (range && others.length > 0) {
      await sendParts(exchange, open, { headers: blobHeaders(blob.digest), ranges: [range, ...others] })
      return
    }
    writeHead(exchange, blob, range)
    await open.sendTo(response, { ...(range ? { range } : {}), signal })
    response.end()
  } finally {
    await open.close()
  }
}

function writeHead({ response }: NamedExchange, { digest, sizeBytes }: ServedBlob, range: ByteRange | undefined): void {
  if (range)
    response.writeHead(206, {
      ...blobHeaders(digest),
      'content-range': `bytes ${range.start}-${range.end}/${sizeBytes}`,
      'content-length': range.end - range.start + 1,
    })
  else response.writeHead(200, { ...blobHeaders(digest), 'content-length': sizeBytes })
}

/** The entity tag of what a digest names, which never changes. */
export function etagOf(digest: Digest): string {
  return `"${digest}"`
}

/** The headers of every answer with a blob. */
export function blobHeaders(digest: Digest): Record<string, string> {
  return {
    ...commonHeaders,
    'content-type': 'application/octet-stream',
    'docker-content-digest': digest,
    etag: etagOf(digest),
    'accept-ranges': 'bytes',
    'cache-control': 'max-age=31536000, immutable',
  }
}
