import {
  type Digest,
  isSchema1Type,
  knowsOnlySchema1,
  knowsOnlySingleManifests,
  mediaTypes,
  OciError,
} from '@berth/oci'
import { commonHeaders, type NamedExchange, sendBytes, sendEmpty, unknownName } from '../exchange/exchange.ts'
import { warningOf } from '../exchange/warning.ts'
import type { Lookup, ServedManifest } from '../model/lookup.ts'
import type { Pointer } from '../model/pointer.ts'
import type { FreshSource } from '../pull-through/ensure-fresh.ts'
import type { MadeManifest, Schema1Converter } from './convert-to-schema1.ts'
import type { SingleFinder } from './find-single.ts'
import type { LastPulls } from './last-pulls.ts'
import type { ListedPulls } from './listed-pulls.ts'
import type { ManifestBytes } from './manifest-bytes.ts'

export type ManifestDelivery = {
  lookup: Lookup
  readBytes: ManifestBytes
  findSingle: SingleFinder
  toSchema1: Schema1Converter
  pulls: LastPulls
  listedPulls: ListedPulls
  fresh: FreshSource
}

/** `GET` and `HEAD /v2/<name>/manifests/<reference>` (distribution-spec, "Pulling manifests"). */
export async function getManifest(
  exchange: NamedExchange,
  reference: { tag?: string | undefined; digest?: Digest | undefined },
  delivery: ManifestDelivery,
): Promise<void> {
  const { request, basePath } = exchange
  const { lookup, readBytes, pulls } = delivery
  const { pointer, staleness } = await delivery.fresh.reference(exchange, reference)
  if (!pointer) throw unknownName(exchange)
  const stored = reference.digest
    ? await lookup.manifest(pointer, reference.digest)
    : await lookup.tag(pointer, reference.tag ?? '')
  if (!stored)
    throw new OciError('MANIFEST_UNKNOWN', `${basePath} has no manifest ${reference.digest ?? reference.tag}`)
  const { tag } = reference
  const manifest = tag === undefined ? stored : await chooseByAccept(exchange, { pointer, tag, stored }, delivery)
  // A HEAD is a look and not a pull: a tool that watches a tag does not keep it alive.
  if (request.method === 'GET') {
    const pulled = { tag, digest: stored.digest }
    pulls.note(pointer.repositoryId, pulled)
    delivery.listedPulls.note(exchange, pointer.repositoryName, pulled)
  }
  const varies = tag !== undefined && (pointer.convertToSchema1 || stored.mediaType === mediaTypes.dockerList)
  const etag = `"${manifest.digest}"`
  const headers = {
    'content-type': manifest.mediaType,
    'docker-content-digest': manifest.digest,
    etag,
    'cache-control': reference.digest ? 'max-age=31536000, immutable' : 'no-cache',
    ...(varies ? { vary: 'accept' } : {}),
    ...warningOf(pointer),
    ...(staleness === undefined ? {} : { warning: staleness }),
  }
  const known = request.headers['if-none-match']
  if (known !== undefined && (known === etag || known === manifest.digest)) {
    sendEmpty(exchange, 304, headers)
    return
  }
  if (request.method === 'HEAD') {
    exchange.response
      .writeHead(200, {
        ...commonHeaders,
        ...headers,
        'content-length': manifest.sizeBytes,
      })
      .end()
    return
  }
  sendBytes(exchange, 200, headers, 'bytes' in manifest ? manifest.bytes : await readBytes(manifest))
}

/** What a client gets by a tag that cannot use what is stored (docs/protocol.md#accept); all others get what is stored. */
async function chooseByAccept(
  { request }: NamedExchange,
  { pointer, tag, stored }: { pointer: Pointer; tag: string; stored: ServedManifest },
  { findSingle, toSchema1 }: ManifestDelivery,
): Promise<ServedManifest | MadeManifest> {
  const { accept } = request.headers
  if (!isSchema1Type(stored.mediaType) && knowsOnlySchema1(accept)) return toSchema1(pointer, tag, stored)
  if (stored.mediaType === mediaTypes.dockerList && knowsOnlySingleManifests(accept)) return findSingle(pointer, stored)
  return stored
}
