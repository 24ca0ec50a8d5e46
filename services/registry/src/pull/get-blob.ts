import type { BlobStore } from '@berth/blobs'
import type { CommandClient, SyncCommands } from '@berth/commands'
import { type Digest, OciError } from '@berth/oci'
import { type NamedExchange, requireServed, sendBytes, sendEmpty } from '../exchange/exchange.ts'
import type { Follower } from '../model/follow.ts'
import type { Lookup, ServedBlob } from '../model/lookup.ts'
import type { ProxyResult } from '../pull-through/count-proxied.ts'
import type { Leases } from '../push/store-blob.ts'
import { emptyLayer } from '../schema1/empty-layer.ts'
import { asksForSeveral } from './ranges.ts'
import { blobHeaders, etagOf, streamBlob } from './stream-blob.ts'

const presignedSeconds = 600

export type BlobDelivery = {
  lookup: Lookup
  blobs: BlobStore
  sync: CommandClient<SyncCommands>
  follower: Follower
  leases: Leases
  count: (result: ProxyResult) => void
}

/** `HEAD /v2/<name>/blobs/<digest>`: what clients ask before they upload, so mostly for what is not there. */
export async function headBlob(exchange: NamedExchange, digest: Digest, delivery: BlobDelivery): Promise<void> {
  const { basePath } = exchange
  const mayPush = exchange.caller.may(basePath, 'push')
  const blob = await delivery.lookup.blobAt(basePath, digest)
  if (!blob) {
    // While the model is built, absence is none; that is said there.
    if (!delivery.follower.isComplete(basePath)) await exchange.served()
    // A client that may push asks whether to upload it: for that it is not here, or a manifest would name what is not.
    if (!mayPush && isEmptyLayer(digest) && (await exchange.served())?.convertToSchema1) {
      sendBytes(exchange, 200, blobHeaders(digest), emptyLayer.bytes)
      return
    }
    // After the answer, which has nothing to wait for.
    if (mayPush) setImmediate(() => delivery.leases.takeAhead(exchange, digest))
    throw unknownBlob(basePath, digest)
  }
  // Where one version is pinned there are no pushes, so there is nothing to promise.
  if (mayPush && (await requireServed(exchange)).pinned === null) await keepForPush(exchange, digest, delivery)
  exchange.response.writeHead(200, { ...blobHeaders(digest), 'content-length': blob.sizeBytes }).end()
}

/** `GET /v2/<name>/blobs/<digest>` (distribution-spec, "Pulling blobs"; RFC 9110 §14 for ranges). */
export async function getBlob(exchange: NamedExchange, digest: Digest, delivery: BlobDelivery): Promise<void> {
  const { request, basePath } = exchange
  const pointer = await requireServed(exchange)
  const blob = await delivery.lookup.blob(pointer, digest)
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

/**
 * A client that may push asks by HEAD whether it can skip an upload. Our yes is a promise until its manifest comes, so the
 * blob is leased before it is given, and catalog says whether the repository has it: what this model knows may just be going
 * (docs/guarantees.md, G4).
 */
async function keepForPush(exchange: NamedExchange, digest: Digest, { leases }: BlobDelivery): Promise<void> {
  if (!(await leases.keep(exchange, digest))) throw unknownBlob(exchange.basePath, digest)
}
