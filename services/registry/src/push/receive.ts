import { BlobStoreError, PartInterrupted, type StagedPart } from '@berth/blobs'
import type { LeasedBlob } from '@berth/commands'
import { type Digest, OciError } from '@berth/oci'
import { bodyOf } from '../exchange/early-answer.ts'
import type { NamedExchange } from '../exchange/exchange.ts'
import { checkRange, type UploadDeps } from './session-answers.ts'
import { type Claim, recordPart } from './sessions.ts'

/** A blob in a single request: its digest is known, so the bytes go straight to their place, taken in while it is leased. */
export async function takeWhole(
  exchange: NamedExchange,
  digest: Digest,
  lease: Promise<LeasedBlob>,
  deps: UploadDeps,
): Promise<void> {
  const length = exchange.request.headers['content-length']
  const generation = Promise.all([lease, exchange.served()]).then(([leased]) => leased.generation)
  generation.catch(() => 'told by the write, or by its source')
  const { sizeBytes } = await deps.blobs.write({ digest, generation }, bodyOf(exchange.request), {
    signal: exchange.signal,
    expectedBytes: length === undefined ? undefined : Number(length),
  })
  await deps.leases.link(exchange, { digest, generation: await generation, sizeBytes })
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
