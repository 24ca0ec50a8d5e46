import { setTimeout as delay } from 'node:timers/promises'
import { type BlobStore, BlobStoreError, DigestMismatch, PartInterrupted, type StagedPart } from '@berth/blobs'
import type { LeasedBlob } from '@berth/commands'
import { algorithmOf, type Digest, hexOf, OciError, parseContentRange, parseDigest } from '@berth/oci'
import type { Database } from '@berth/service'
import { type NamedExchange, sendEmpty } from '../gateway/exchange.ts'
import { type MountParts, mountBlob } from './mount.ts'
import {
  type Claim,
  claimSession,
  commitSession,
  dropSession,
  openSession,
  readParts,
  readSession,
  recordPart,
  type SessionOwner,
  type UploadSession,
} from './sessions.ts'
import { leaseBlob, linkBlob } from './store-blob.ts'

export type UploadParts = MountParts & { db: Database; blobs: BlobStore }

function ownerOf(exchange: NamedExchange): SessionOwner {
  return { repository: exchange.basePath, subject: exchange.caller.subject }
}

function sessionHeaders(exchange: NamedExchange, id: string, offsetBytes: number): Record<string, string> {
  return {
    location: `/v2/${exchange.basePath}/blobs/uploads/${id}`,
    range: `0-${Math.max(0, offsetBytes - 1)}`,
    'docker-upload-uuid': id,
  }
}

function sendCreated(exchange: NamedExchange, digest: Digest): void {
  sendEmpty(exchange, 201, { location: `/v2/${exchange.basePath}/blobs/${digest}`, 'docker-content-digest': digest })
}

function wantedDigest(exchange: NamedExchange, parameter: string): Digest | undefined {
  const text = exchange.query.get(parameter)
  if (text === null) return undefined
  const digest = parseDigest(text)
  if (!digest) throw new OciError('DIGEST_INVALID', `${parameter} is not a sha256 or sha512 digest`)
  return digest
}

/** `POST …/blobs/uploads/`: begins a session, or mounts a blob, or takes it whole (distribution-spec, "Pushing blobs"). */
export async function startUpload(exchange: NamedExchange, parts: UploadParts): Promise<void> {
  const algorithm = exchange.query.get('digest-algorithm')
  if (algorithm !== null && algorithm !== 'sha256' && algorithm !== 'sha512')
    throw new OciError('DIGEST_INVALID', 'digest-algorithm must be sha256 or sha512')
  const mount = wantedDigest(exchange, 'mount')
  if (mount && (await mountBlob(exchange, mount, exchange.query.get('from') ?? undefined, parts))) {
    sendCreated(exchange, mount)
    return
  }
  const digest = wantedDigest(exchange, 'digest')
  if (digest && !mount) {
    await takeWhole(exchange, await leaseBlob(parts.catalog, exchange, digest), parts)
    sendCreated(exchange, digest)
    return
  }
  const session = await openSession(parts.db, ownerOf(exchange))
  const leastBytes = parts.blobs.preferredChunkBytes
  sendEmpty(exchange, 202, {
    ...sessionHeaders(exchange, session.id, 0),
    ...(leastBytes === undefined ? {} : { 'oci-chunk-min-length': leastBytes }),
  })
}

/** A blob in a single request: its digest is known, so the bytes go straight to their place. */
async function takeWhole(exchange: NamedExchange, lease: LeasedBlob, parts: UploadParts): Promise<void> {
  const { digest, generation } = lease
  const length = exchange.request.headers['content-length']
  const { sizeBytes } = await parts.blobs.write(lease, exchange.request, {
    signal: exchange.signal,
    expectedBytes: length === undefined ? undefined : Number(length),
  })
  await linkBlob(exchange, { digest, generation, sizeBytes }, parts)
}

/** `PATCH …/blobs/uploads/<session>`: appends a chunk, or a stream of unknown length. */
export async function appendUpload(exchange: NamedExchange, id: string, parts: UploadParts): Promise<void> {
  const session = await readSession(parts.db, id, ownerOf(exchange))
  if (session.state !== 'open') throw new OciError('BLOB_UPLOAD_INVALID', 'this upload has ended already')
  checkRange(exchange, session)
  const claim = await claimSession(parts.db, id, ownerOf(exchange))
  const end = await appendBytes(exchange, claim, parts)
  sendEmpty(exchange, 202, sessionHeaders(exchange, id, end))
}

/** A chunk must begin where the session stands; else 416, and the session lives on (distribution-spec, "Pushing a blob in chunks"). */
function checkRange(exchange: NamedExchange, { id, offsetBytes }: Pick<UploadSession, 'id' | 'offsetBytes'>): void {
  const header = exchange.request.headers['content-range']
  if (header === undefined) return // docker sends its single PATCH without one: it appends at the end
  const headers = sessionHeaders(exchange, id, offsetBytes)
  const range = parseContentRange(header)
  if (!range || range.start !== offsetBytes || range.end < range.start) {
    throw new OciError('RANGE_INVALID', `the next byte of this upload is ${offsetBytes}`, { headers })
  }
  const length = exchange.request.headers['content-length']
  if (length !== undefined && Number(length) !== range.end - range.start + 1) {
    throw new OciError('SIZE_INVALID', 'Content-Length and Content-Range do not fit together', { headers })
  }
}

/** Streams the body into a part of this claim's own and records it. Answers where the session stands then. */
async function appendBytes(exchange: NamedExchange, claim: Claim, { db, blobs }: UploadParts): Promise<number> {
  // Another request may have added its bytes between our look at the session and our claim: then these begin elsewhere.
  checkRange(exchange, claim)
  const partId = `${claim.id}-${claim.fence}`
  let part: StagedPart
  try {
    part = await blobs.writePart(partId, claim.offsetBytes, exchange.request, { signal: exchange.signal })
  } catch (error) {
    // What came before the client left is durable, and the client may go on from there.
    if (error instanceof PartInterrupted) await recordPart(db, claim, error.part)
    throw error
  }
  if (!(await recordPart(db, claim, part))) {
    await blobs.discardParts([partId])
    throw new OciError('BLOB_UPLOAD_INVALID', 'another request has taken over this upload; ask for its status', {
      status: 409,
    })
  }
  return claim.offsetBytes + part.sizeBytes
}

/** `PUT …/blobs/uploads/<session>?digest=…`: the last bytes, if any, and the end. Repeating it gives the same answer. */
export async function finishUpload(exchange: NamedExchange, id: string, parts: UploadParts): Promise<void> {
  const digest = wantedDigest(exchange, 'digest')
  if (!digest) return refuseEnd(exchange, id, parts)
  // The lease is asked for along with the session: it is needed nearly always, and harmless when it is not.
  const [session, lease] = await Promise.all([
    readSession(parts.db, id, ownerOf(exchange)),
    leaseBlob(parts.catalog, exchange, digest),
  ])
  if (session.state === 'committed') {
    if (session.digest !== digest)
      throw new OciError('BLOB_UPLOAD_INVALID', `this upload has ended as ${session.digest}`)
    sendCreated(exchange, digest)
    return
  }
  if (hasBody(exchange) || session.offsetBytes > 0) checkRange(exchange, session)
  const partIds = await endUpload(exchange, session, lease, parts)
  sendCreated(exchange, digest)
  // After the answer: killed before this, a repeated PUT finds the bytes where they belong and gets its 201 all the same.
  await commitSession(parts.db, id, digest)
  await parts.blobs.discardParts(partIds)
}

/** Without a digest there is no end; the session lives on. */
async function refuseEnd(exchange: NamedExchange, id: string, { db }: UploadParts): Promise<never> {
  const { offsetBytes } = await readSession(db, id, ownerOf(exchange))
  const headers = sessionHeaders(exchange, id, offsetBytes)
  throw new OciError('DIGEST_INVALID', 'the digest parameter is missing', { headers })
}

/** Makes the blob, whichever way its bytes came. Answers the ids of the parts that are no longer needed. */
async function endUpload(
  exchange: NamedExchange,
  { id, offsetBytes }: UploadSession,
  lease: LeasedBlob,
  parts: UploadParts,
): Promise<string[]> {
  const { db, blobs } = parts
  try {
    if (hasBody(exchange) && offsetBytes === 0) {
      await takeWhole(exchange, lease, parts)
      return []
    }
    const totalBytes = hasBody(exchange)
      ? await appendBytes(exchange, await claimSession(db, id, ownerOf(exchange)), parts)
      : offsetBytes
    return await makeBlob(exchange, { id, totalBytes }, lease, parts)
  } catch (error) {
    if (error instanceof DigestMismatch) await blobs.discardParts(await dropSession(db, id))
    throw error
  }
}

function hasBody({ request }: NamedExchange): boolean {
  return request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0
}

async function makeBlob(
  exchange: NamedExchange,
  upload: { id: string; totalBytes: number },
  lease: LeasedBlob,
  { db, blobs, catalog, follower }: UploadParts,
): Promise<string[]> {
  const { digest, generation } = lease
  const staged = await readParts(db, upload.id)
  // Another PUT of the same session may have ended it since we read it, and its parts are gone with it.
  if (sizeOf(staged) !== upload.totalBytes) return waitForOther(exchange, upload.id, digest, db)
  const sizeBytes = await publishParts(blobs, staged, lease, exchange.signal)
  if (sizeBytes === undefined) return waitForOther(exchange, upload.id, digest, db)
  await linkBlob(exchange, { digest, generation, sizeBytes }, { catalog, follower })
  return staged.map((part) => part.id)
}

function sizeOf(parts: readonly StagedPart[]): number {
  return parts.reduce((sum, part) => sum + part.sizeBytes, 0)
}

/** Puts the bytes into their place; when they are there already and ours are proven to be the same, ours are not needed. */
async function publishParts(
  blobs: BlobStore,
  staged: readonly StagedPart[],
  lease: LeasedBlob,
  signal: AbortSignal,
): Promise<number | undefined> {
  const [only] = staged
  const isProven = staged.length === 1 && algorithmOf(lease.digest) === 'sha256' && only?.sha256 === hexOf(lease.digest)
  if (lease.state === 'present' && isProven && only) return only.sizeBytes
  try {
    return (await blobs.publish(staged, lease, { signal })).sizeBytes
  } catch (error) {
    if (!(error instanceof BlobStoreError) || error.code !== 'missing_part') throw error
    // Moved already, perhaps by a process that was killed afterwards. Only whoever is proven to have had the bytes may have
    // what lies there: knowing a digest gives no right to its content.
    return isProven ? (await blobs.stat(lease))?.sizeBytes : undefined
  }
}

const otherEndsWithinMs = 2_000
const lookEveryMs = 20

/** Waits for the request that ends the same session; its end is ours too. */
async function waitForOther(exchange: NamedExchange, id: string, digest: Digest, db: Database): Promise<string[]> {
  for (const until = performance.now() + otherEndsWithinMs; performance.now() < until; await delay(lookEveryMs)) {
    const session = await readSession(db, id, ownerOf(exchange))
    if (session.state === 'committed' && session.digest === digest) return []
  }
  throw new OciError('BLOB_UPLOAD_INVALID', 'another request has taken over this upload; begin a new one')
}

/** `GET …/blobs/uploads/<session>`: how far it is. */
export async function showUpload(exchange: NamedExchange, id: string, { db }: UploadParts): Promise<void> {
  const session = await readSession(db, id, ownerOf(exchange))
  if (session.state !== 'open') throw new OciError('BLOB_UPLOAD_UNKNOWN', `this upload has ended as ${session.digest}`)
  sendEmpty(exchange, 204, sessionHeaders(exchange, id, session.offsetBytes))
}

/** `DELETE …/blobs/uploads/<session>`: gives it up. */
export async function cancelUpload(exchange: NamedExchange, id: string, { db, blobs }: UploadParts): Promise<void> {
  const session = await readSession(db, id, ownerOf(exchange))
  if (session.state !== 'open') throw new OciError('BLOB_UPLOAD_UNKNOWN', `this upload has ended as ${session.digest}`)
  await blobs.discardParts(await dropSession(db, id))
  sendEmpty(exchange, 204)
}
