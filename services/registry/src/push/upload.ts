import { OciError, parseDigest } from '@berth/oci'
import { type NamedExchange, sendEmpty } from '../exchange/exchange.ts'
import { mountBlob } from './mount.ts'
import { appendAtOnce, appendBytes, peekChunk, takeWhole } from './receive.ts'
import {
  checkRange,
  hasBody,
  ownerOf,
  sendCreated,
  sessionHeaders,
  type UploadDeps,
  wantedDigest,
} from './session-answers.ts'
import { claimSession, dropSession, readSession } from './sessions.ts'

/** `POST …/blobs/uploads/`: begins a session, or mounts a blob, or takes it whole (distribution-spec, "Pushing blobs"). */
export async function startUpload(exchange: NamedExchange, deps: UploadDeps): Promise<void> {
  const algorithm = exchange.query.get('digest-algorithm')
  if (algorithm !== null && algorithm !== 'sha256' && algorithm !== 'sha512')
    throw new OciError('DIGEST_INVALID', 'digest-algorithm must be sha256 or sha512')
  const wanted = exchange.query.get('mount')
  // What is no digest cannot be mounted, like a blob that is not there: an upload, and no error.
  const mount = wanted === null ? undefined : parseDigest(wanted)
  if (mount && (await mountBlob(exchange, mount, exchange.query.get('from') ?? undefined, deps))) {
    sendCreated(exchange, mount)
    return
  }
  const digest = wantedDigest(exchange, 'digest')
  // A mount sends no body; a client that asks for both and sends one has all of the blob taken in.
  if (digest && (wanted === null || hasBody(exchange))) {
    await takeWhole(exchange, { digest, generation: await deps.generations.take() }, deps)
    sendCreated(exchange, digest)
    return
  }
  await deps.mayBegin(exchange)
  const id = deps.sessions.ids.make(ownerOf(exchange), deps.generations.takeAtHand())
  deps.sessions.young?.begin(id)
  const leastBytes = deps.blobs.preferredChunkBytes
  sendEmpty(exchange, 202, {
    ...sessionHeaders(exchange, id, 0),
    ...(leastBytes === undefined ? {} : { 'oci-chunk-min-length': leastBytes }),
  })
}

/** `PATCH …/blobs/uploads/<session>`: appends a chunk, or a stream of unknown length. */
export async function appendUpload(exchange: NamedExchange, id: string, deps: UploadDeps): Promise<void> {
  const owner = ownerOf(exchange)
  const send = (end: number) => sendEmpty(exchange, 202, sessionHeaders(exchange, id, end))
  const hasRange = exchange.request.headers['content-range'] !== undefined
  if (!hasRange && deps.sessions.ids.isGenuine(id, owner)) {
    await exchange.servedLately()
    const chunk = await peekChunk(exchange)
    if (chunk.isWhole) return send(await appendAtOnce(exchange, id, chunk.body, deps))
    const claim = await claimSession(deps.sessions, id, owner).catch((error: unknown) => {
      chunk.letGo()
      throw error
    })
    return send(await appendBytes(exchange, claim, deps, chunk.body))
  }
  // Only for a range it has to be known beforehand where the session stands; the claim says the rest.
  if (hasRange) checkRange(exchange, await readSession(deps.sessions, id, owner))
  const [claim] = await Promise.all([claimSession(deps.sessions, id, owner), exchange.servedLately()])
  send(await appendBytes(exchange, claim, deps))
}

/** `GET …/blobs/uploads/<session>`: how far it is. */
export async function showUpload(exchange: NamedExchange, id: string, { sessions }: UploadDeps): Promise<void> {
  const session = await readSession(sessions, id, ownerOf(exchange))
  if (session.state !== 'open') throw new OciError('BLOB_UPLOAD_UNKNOWN', `this upload has ended as ${session.digest}`)
  sendEmpty(exchange, 204, sessionHeaders(exchange, id, session.offsetBytes))
}

/** `DELETE …/blobs/uploads/<session>`: gives it up. */
export async function cancelUpload(
  exchange: NamedExchange,
  id: string,
  { blobs, sessions }: UploadDeps,
): Promise<void> {
  const session = await readSession(sessions, id, ownerOf(exchange))
  if (session.state !== 'open') throw new OciError('BLOB_UPLOAD_UNKNOWN', `this upload has ended as ${session.digest}`)
  await blobs.discardParts(await dropSession(sessions, id, ownerOf(exchange)))
  sendEmpty(exchange, 204)
}
