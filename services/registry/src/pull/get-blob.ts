import type { BlobStore } from '@berth/blobs'
import type { CommandClient, SyncCommands } from '@berth/commands'
import { type Digest, OciError } from '@berth/oci'
import { type NamedExchange, requireServed, sendBytes, sendEmpty } from '../exchange/exchange.ts'
import type { Follower } from '../model/follow.ts'
import type { Lookup, ServedBlob } from '../model/lookup.ts'
import type { Pointer } from '../model/pointer.ts'
import type { ProxyResult } from '../pull-through/count-proxied.ts'
import type { PushedBlobs } from '../push/pushed-blobs.ts'
import { emptyLayer } from '../schema1/empty-layer.ts'
import { asksForSeveral } from './ranges.ts'
import { blobHeaders, etagOf, streamBlob } from './stream-blob.ts'

const presignedSeconds = 600

export type BlobDelivery = {
  lookup: Lookup
  blobs: BlobStore
  sync: CommandClient<SyncCommands>
  follower: Follower
  pushed: PushedBlobs
  count: (result: ProxyResult) => void
}

/** `HEAD /v2/<name>/blobs/<digest>`: what clients ask before they upload, so mostly for what is not there. */
export async function headBlob(exchange: NamedExchange, digest: Digest, delivery: BlobDelivery): Promise<void> {
  const { basePath } = exchange
  const mayPush = exchange.caller.may(basePath, 'push')
  const blob = mayPush ? await findForPush(exchange, digest, delivery) : await delivery.lookup.blobAt(basePath, digest)
  if (blob) {
    exchange.response.writeHead(200, { ...blobHeaders(digest), 'content-length': blob.sizeBytes }).end()
    return
  }
  // While the model is built, absence is none; that is said there.
  if (!delivery.follower.isComplete(basePath)) await exchange.served()
  // A client that may push asks whether to upload it: for that it is not here, or a manifest would name what is not.
  if (mayPush || !isEmptyLayer(digest) || !(await exchange.served())?.convertToSchema1)
    throw unknownBlob(basePath, digest)
  sendBytes(exchange, 200, blobHeaders(digest), emptyLayer.bytes)
}

/**
 * A client that may push asks by HEAD whether it can skip an upload. Our yes is a promise until its manifest comes, so catalog says
 * whether the repository has the blob and keeps it: what the model knows may just be going, and of what was pushed a moment ago it
 * knows nothing (docs/guarantees.md, G4). Where one version is pinned there are no pushes, so there is nothing to promise.
 */
async function findForPush(
  exchange: NamedExchange,
  digest: Digest,
  { lookup, pushed }: BlobDelivery,
): Promise<{ sizeBytes: number } | undefined> {
  const pointer = await exchange.servedLately()
  if (!pointer) return undefined
  if (!isPushedTo(exchange, pointer)) return lookup.blob(pointer, digest)
  return pushed.keep(exchange, pointer, digest)
}

/** `GET /v2/<name>/blobs/<digest>` (distribution-spec, "Pulling blobs"; RFC 9110 §14 for ranges). */
export async function getBlob(exchange: NamedExchange, digest: Digest, delivery: BlobDelivery): Promise<void> {
  const { request, basePath } = exchange
  const pointer = await requireServed(exchange)
  const blob =
    (await delivery.lookup.blob(pointer, digest)) ?? (await findLinked(exchange, pointer, digest, delivery.pushed))
  if (!blob && pointer.convertToSchema1 && isEmptyLayer(digest)) {
    sendBytes(exchange, 200, blobHeaders(digest), emptyLayer.bytes)
    return
  }
  if (!blob) throw unknownBlob(basePath, digest)
  if (request.headers['if-none-match'] === etagOf(digest)) {
    sendEmpty(exchange, 304, blobHeaders(digest))
    return
  }
  // Object stores give one range at a time; several are answered from here, or the client would get all of the blob.
  const mayRedirect = pointer.redirect && delivery.blobs.presignedUrl && !asksForSeveral(request)
  // What is to come from a remote cannot be had from the object store yet.
  if (mayRedirect && delivery.blobs.presignedUrl && (await delivery.blobs.stat(blob))) {
    sendEmpty(exchange, 307, { location: await delivery.blobs.presignedUrl(blob, presignedSeconds) })
    return
  }
  if (pointer.pullThrough) await streamProxied(exchange, blob, delivery)
  else await streamBlob(exchange, blob, delivery)
}

async function streamProxied(exchange: NamedExchange, blob: ServedBlob, delivery: BlobDelivery): Promise<void> {
  let isFound = false
  try {
    await streamBlob(exchange, blob, delivery, (place) => {
      isFound = true
      delivery.count(place === 'store' ? 'hit' : 'miss')
    })
  } catch (error) {
    // A client that leaves is no failure of the proxy.
    if (!isFound && !exchange.signal.aborted) delivery.count('error')
    throw error
  }
}

/** A layer that manifests name which are made for old clients; where they are made it can be pulled. */
function isEmptyLayer(digest: Digest): boolean {
  return digest === emptyLayer.digest
}

function unknownBlob(basePath: string, digest: Digest): OciError {
  return new OciError('BLOB_UNKNOWN', `${basePath} has no blob ${digest}`)
}

/** Who may push reads what it has pushed; others read what manifests name, and their pulls never wait for catalog. */
async function findLinked(
  exchange: NamedExchange,
  pointer: Pointer,
  digest: Digest,
  pushed: PushedBlobs,
): Promise<ServedBlob | undefined> {
  return isPushedTo(exchange, pointer) ? pushed.find(exchange, pointer.repositoryName, digest) : undefined
}

/**
 * Whether the caller may push to what is served there now: its right is for the repository that was served when it was granted, and to
 * one pinned version nobody pushes.
 */
function isPushedTo({ basePath, caller }: NamedExchange, pointer: Pointer): boolean {
  return pointer.pinned === null && caller.may(basePath, 'push') && caller.mayChange(basePath, pointer)
}
