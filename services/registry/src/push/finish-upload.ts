import { setTimeout as delay } from 'node:timers/promises'
import { type BlobKey, type BlobStore, BlobStoreError, DigestMismatch, type StagedPart } from '@berth/blobs'
import { algorithmOf, type Digest, hexOf, OciError } from '@berth/oci'
import type { NamedExchange } from '../exchange/exchange.ts'
import { appendBytes, takeWhole } from './receive.ts'
import {
  checkRange,
  hasBody,
  ownerOf,
  sendCreated,
  sessionHeaders,
  type UploadDeps,
  wantedDigest,
} from './session-answers.ts'
import {
  claimSession,
  commitSession,
  dropSession,
  readParts,
  readSession,
  type Sessions,
  type UploadSession,
} from './sessions.ts'

/** `PUT …/blobs/uploads/<session>?digest=…`: the last bytes, if any, and the end. Repeating it gives the same answer. */
export async function finishUpload(exchange: NamedExchange, id: string, deps: UploadDeps): Promise<void> {
  const digest = wantedDigest(exchange, 'digest')
  if (!digest) return refuseEnd(exchange, id, deps)
  const [session] = await Promise.all([readSession(deps.sessions, id, ownerOf(exchange)), exchange.servedLately()])
  if (session.state === 'committed') {
    if (session.digest !== digest)
      throw new OciError('BLOB_UPLOAD_INVALID', `this upload has ended as ${session.digest}`)
    sendCreated(exchange, digest)
    return
  }
  if (hasBody(exchange) || session.offsetBytes > 0) checkRange(exchange, session)
  const generation = deps.sessions.ids.generationOf(id) ?? (await deps.generations.take())
  const partIds = await endUpload(exchange, session, { digest, generation }, deps)
  sendCreated(exchange, digest)
  // After the answer: killed before this, a repeated PUT finds the bytes where they belong, if it finds the session.
  // A session that brought all its bytes with its end needs no trace: a repetition brings them again.
  if (!session.stored && partIds.length === 0) return
  await commitSession(deps.sessions, id, ownerOf(exchange), digest)
  await deps.blobs.discardParts(partIds)
}

/** Without a digest there is no end; the session lives on. */
async function refuseEnd(exchange: NamedExchange, id: string, { sessions }: UploadDeps): Promise<never> {
  const { offsetBytes } = await readSession(sessions, id, ownerOf(exchange))
  const headers = sessionHeaders(exchange, id, offsetBytes)
  throw new OciError('DIGEST_INVALID', 'the digest parameter is missing', { headers })
}

/** Makes the blob, whichever way its bytes came. Answers the ids of the parts that are no longer needed. */
async function endUpload(
  exchange: NamedExchange,
  { id, offsetBytes, parts: staged }: UploadSession,
  key: BlobKey,
  deps: UploadDeps,
): Promise<string[]> {
  const { db, blobs, sessions } = deps
  try {
    if (hasBody(exchange) && offsetBytes === 0) {
      await takeWhole(exchange, key, deps)
      return []
    }
    if (!hasBody(exchange)) return await makeBlob(exchange, { id, totalBytes: offsetBytes, staged }, key, deps)
    const totalBytes = await appendBytes(exchange, await claimSession(sessions, id, ownerOf(exchange)), deps)
    const upload = { id, totalBytes, staged: await readParts(db, id) }
    return await makeBlob(exchange, upload, key, deps)
  } catch (error) {
    if (error instanceof DigestMismatch) await blobs.discardParts(await dropSession(sessions, id, ownerOf(exchange)))
    throw error
  }
}

async function makeBlob(
  exchange: NamedExchange,
  upload: { id: string; totalBytes: number; staged: StagedPart[] },
  key: BlobKey,
  { blobs, pushed, sessions }: UploadDeps,
): Promise<string[]> {
  const { digest } = key
  const { staged } = upload
  // Another PUT of the same session may have ended it since we read it, and its parts are gone with it.
  if (sizeOf(staged) !== upload.totalBytes) return waitForOther(exchange, upload.id, digest, sessions)
  const { signal } = exchange
  // Where publishing is a copy of all the bytes, one question more is cheap.
  const there = blobs.movesParts ? undefined : await pushed.leasePresent(exchange, digest)
  const publishAs = (as: BlobKey) => publishParts(blobs, staged, as, { signal, isThere: as === there })
  const sizeBytes = await publishAs(there ?? key)
  if (sizeBytes === undefined) return waitForOther(exchange, upload.id, digest, sessions)
  // Linked once the bytes are proven to have this digest, and not before: to know one gives no right to what it names.
  if (there === undefined || !(await pushed.linkPresent(exchange, digest))) {
    // An upload may outlast the lease.
    if (there && (await publishAs(key)) === undefined) return waitForOther(exchange, upload.id, digest, sessions)
    await pushed.end(exchange, { ...key, sizeBytes })
  }
  return staged.map((part) => part.id)
}

function sizeOf(parts: readonly StagedPart[]): number {
  return parts.reduce((sum, part) => sum + part.sizeBytes, 0)
}

/** Puts the bytes into their place. When they are there already, ours heal them behind the answer if they are damaged. */
async function publishParts(
  blobs: BlobStore,
  staged: readonly StagedPart[],
  key: BlobKey,
  how: { signal: AbortSignal; isThere: boolean },
): Promise<number | undefined> {
  const [only] = staged
  const isProven = staged.length === 1 && algorithmOf(key.digest) === 'sha256' && only?.sha256 === hexOf(key.digest)
  try {
    return (await blobs.publish(staged, key, how)).sizeBytes
  } catch (error) {
    if (!(error instanceof BlobStoreError) || error.code !== 'missing_part') throw error
    // Moved already, perhaps by a process that was killed afterwards. Only whoever is proven to have had the bytes may have
    // what lies there: knowing a digest gives no right to its content.
    return isProven ? (await blobs.stat(key))?.sizeBytes : undefined
  }
}

const otherEndsWithinMs = 2_000
const lookEveryMs = 20

/** Waits for the request that ends the same session; its end is ours too. */
async function waitForOther(
  exchange: NamedExchange,
  id: string,
  digest: Digest,
  sessions: Sessions,
): Promise<string[]> {
  for (const until = performance.now() + otherEndsWithinMs; performance.now() < until; await delay(lookEveryMs)) {
    const session = await readSession(sessions, id, ownerOf(exchange))
    if (session.state === 'committed' && session.digest === digest) return []
  }
  throw new OciError('BLOB_UPLOAD_INVALID', 'another request has taken over this upload; begin a new one')
}
