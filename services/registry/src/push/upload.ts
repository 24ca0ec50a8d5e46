import { OciError } from '@berth/oci'
import { type NamedExchange, sendEmpty } from '../exchange/exchange.ts'
import { mountBlob } from './mount.ts'
import { appendBytes, takeWhole } from './receive.ts'
import { checkRange, ownerOf, sendCreated, sessionHeaders, type UploadParts, wantedDigest } from './session-answers.ts'
import { claimSession, dropSession, readSession } from './sessions.ts'

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
    await takeWhole(exchange, digest, parts.leases.take(exchange, digest), parts)
    sendCreated(exchange, digest)
    return
  }
  await parts.mayBegin(exchange)
  const leastBytes = parts.blobs.preferredChunkBytes
  sendEmpty(exchange, 202, {
    ...sessionHeaders(exchange, parts.sessions.ids.make(ownerOf(exchange)), 0),
    ...(leastBytes === undefined ? {} : { 'oci-chunk-min-length': leastBytes }),
  })
}

/** `PATCH …/blobs/uploads/<session>`: appends a chunk, or a stream of unknown length. */
export async function appendUpload(exchange: NamedExchange, id: string, parts: UploadParts): Promise<void> {
  // Only for a range it has to be known beforehand where the session stands; the claim says the rest.
  if (exchange.request.headers['content-range'] !== undefined)
    checkRange(exchange, await readSession(parts.sessions, id, ownerOf(exchange)))
  const [claim] = await Promise.all([claimSession(parts.sessions, id, ownerOf(exchange)), exchange.served()])
  const end = await appendBytes(exchange, claim, parts)
  sendEmpty(exchange, 202, sessionHeaders(exchange, id, end))
}

/** `GET …/blobs/uploads/<session>`: how far it is. */
export async function showUpload(exchange: NamedExchange, id: string, { sessions }: UploadParts): Promise<void> {
  const session = await readSession(sessions, id, ownerOf(exchange))
  if (session.state !== 'open') throw new OciError('BLOB_UPLOAD_UNKNOWN', `this upload has ended as ${session.digest}`)
  sendEmpty(exchange, 204, sessionHeaders(exchange, id, session.offsetBytes))
}

/** `DELETE …/blobs/uploads/<session>`: gives it up. */
export async function cancelUpload(
  exchange: NamedExchange,
  id: string,
  { db, blobs, sessions }: UploadParts,
): Promise<void> {
  const session = await readSession(sessions, id, ownerOf(exchange))
  if (session.state !== 'open') throw new OciError('BLOB_UPLOAD_UNKNOWN', `this upload has ended as ${session.digest}`)
  await blobs.discardParts(await dropSession(db, id, ownerOf(exchange)))
  sendEmpty(exchange, 204)
}
