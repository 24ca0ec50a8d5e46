import { BlobStoreError, PartInterrupted, type StagedPart } from '@berth/blobs'
import { type Digest, OciError } from '@berth/oci'
import { bodyOf } from '../exchange/early-answer.ts'
import type { NamedExchange } from '../exchange/exchange.ts'
import { checkRange, type UploadDeps } from './session-answers.ts'
import { type Claim, recordPart } from './sessions.ts'

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
  const { sizeBytes } = await blobs.write({ digest, generation: allowed }, bodyOf(exchange.request), {
    signal: exchange.signal,
    expectedBytes: length === undefined ? undefined : Number(length),
  })
  await pushed.end(exchange, { digest, generation, sizeBytes })
}

/** Streams the body into a part of this claim's own and records it. Answers where the session stands then. */
export async function appendBytes(exchange: NamedExchange, claim: Claim, { db, blobs }: UploadDeps): Promise<number> {
  // Another request may have added its bytes between our look at the session and our claim: then these begin elsewhere.
  checkRange(exchange, claim)
  const partId = `${claim.id}-${claim.fence}`
  let part: StagedPart
  try {
    part = await blobs.writePart(partId, claim.offsetBytes, bodyOf(exchange.request), { signal: exchange.signal })
  } catch (error) {
    // What came before the client left is durable, and the client may go on from there.
    if (!(error instanceof PartInterrupted)) throw error
    await recordPart(db, claim, error.part)
    throw error.cause instanceof BlobStoreError ? error.cause : error
  }
  if (!(await recordPart(db, claim, part))) {
    await blobs.discardParts([partId])
    throw new OciError('BLOB_UPLOAD_INVALID', 'another request has taken over this upload; ask for its status', {
      status: 409,
    })
  }
  return claim.offsetBytes + part.sizeBytes
}
