import { randomBytes } from 'node:crypto'
import { BlobStoreError, PartInterrupted, type StagedPart } from '@berth/blobs'
import { type Digest, OciError } from '@berth/oci'
import { bodyOf } from '../exchange/early-answer.ts'
import type { NamedExchange } from '../exchange/exchange.ts'
import { peekBody } from './peek-body.ts'
import { checkRange, ownerOf, type UploadDeps } from './session-answers.ts'
import { beginWith, type Claim, claimSession, recordPart } from './sessions.ts'

/** A blob in a single request: its digest is known, so the bytes go straight to their place. */
export async function takeWhole(
  exchange: NamedExchange,
  { digest, generation }: { digest: Digest; generation: number },
  { blobs, pushed }: UploadDeps,
): Promise<void> {
  const length = exchange.request.headers['content-length']
  // Whether the name takes pushes is looked up while its bytes come; where it does not, they are thrown away.
  const allowed = exchange.servedLately().then(() => generation)
  allowed.catch(() => 'told by the write, or by its source')
  const { sizeBytes, isThere } = await blobs.write({ digest, generation: allowed }, bodyOf(exchange.request), {
    signal: exchange.signal,
    givesChunks: true,
    expectedBytes: length === undefined ? undefined : Number(length),
    // Bytes that the store has already are not written again.
    there: () => pushed.leasePresent(exchange, digest),
  })
  if (isThere) return linkProven(exchange, digest, pushed)
  await pushed.end(exchange, { digest, generation, sizeBytes })
}

/** Links what the caller has sent all bytes of. */
async function linkProven(exchange: NamedExchange, digest: Digest, pushed: UploadDeps['pushed']): Promise<void> {
  if (await pushed.linkPresent(exchange, digest)) return
  // Its lease was shorter than the upload, or lost in a crash of PostgreSQL, and what nothing named was collected.
  throw new OciError('UNAVAILABLE', 'what was stored of this blob was removed while it came again; send it once more', {
    headers: { 'retry-after': '1' },
  })
}

const atOnce = { mostBytes: 128 << 10, patienceMs: 100 }

type Chunk = { isWhole: boolean; body: AsyncIterable<Buffer>; letGo(): void }

/**
 * A chunk that goes to the end of its session, wherever that is. Clients mostly do not say how long it is. `isWhole`: it is so small that all
 * of it is here, or will be in a moment.
 */
export async function peekChunk({ request }: NamedExchange): Promise<Chunk> {
  const body = bodyOf(request)
  const length = request.headers['content-length']
  if (length !== undefined) {
    const isWhole = Number(length) > 0 && Number(length) <= atOnce.mostBytes
    return { isWhole, body, letGo: () => undefined }
  }
  const peeked = await peekBody(body, atOnce)
  return { isWhole: peeked.isWhole && peeked.sizeBytes > 0, body: peeked.source, letGo: () => peeked.letGo() }
}

/**
 * Takes in a small chunk and records it behind, in one statement where it is the first of its session, as it mostly is: no other request
 * is waited for while it comes. Answers where the session stands then.
 */
export async function appendAtOnce(
  exchange: NamedExchange,
  id: string,
  body: AsyncIterable<Buffer>,
  deps: UploadDeps,
): Promise<number> {
  const place = { id: `${id}-${randomBytes(8).toString('hex')}`, startOffset: 0 }
  return appendPart(exchange, place, body, deps, async (part) => {
    const owner = ownerOf(exchange)
    if (await beginWith(deps.sessions, id, owner, part)) return part.sizeBytes
    // It may have sent the chunk again meanwhile, and that one counts.
    if (exchange.signal.aborted) return undefined
    const claim = await claimSession(deps.sessions, id, owner).catch(async (error: unknown) => {
      await deps.blobs.discardParts([part.id])
      throw error
    })
    const isRecorded = await recordPart(deps.db, claim, { ...part, startOffset: claim.offsetBytes })
    return isRecorded ? claim.offsetBytes + part.sizeBytes : undefined
  })
}

/** Streams the body into a part of this claim's own and records it. Answers where the session stands then. */
export async function appendBytes(
  exchange: NamedExchange,
  claim: Claim,
  deps: UploadDeps,
  body: AsyncIterable<Buffer> = bodyOf(exchange.request),
): Promise<number> {
  // Another request may have added its bytes between our look at the session and our claim: then these begin elsewhere.
  checkRange(exchange, claim)
  const place = { id: `${claim.id}-${claim.fence}`, startOffset: claim.offsetBytes }
  return appendPart(exchange, place, body, deps, async (part) =>
    (await recordPart(deps.db, claim, part)) ? claim.offsetBytes + part.sizeBytes : undefined,
  )
}

/** `record` answers where the session stands with the part, or nothing when another request has it now. */
async function appendPart(
  exchange: NamedExchange,
  { id, startOffset }: Pick<StagedPart, 'id' | 'startOffset'>,
  body: AsyncIterable<Buffer>,
  { blobs }: UploadDeps,
  record: (part: StagedPart) => Promise<number | undefined>,
): Promise<number> {
  const keep = async (part: StagedPart) => {
    const end = await record(part)
    if (end === undefined) await blobs.discardParts([id])
    return end
  }
  let part: StagedPart
  try {
    part = await blobs.writePart(id, startOffset, body, {
      signal: exchange.signal,
      givesChunks: true,
    })
  } catch (error) {
    // What came before the client left is durable, and the client may go on from there.
    if (!(error instanceof PartInterrupted)) throw error
    await keep(error.part)
    throw error.cause instanceof BlobStoreError ? error.cause : error
  }
  const end = await keep(part)
  if (end !== undefined) return end
  throw new OciError('BLOB_UPLOAD_INVALID', 'another request has taken over this upload; ask for its status', {
    status: 409,
  })
}
