import { type Digest, knowsOnlySingleManifests, mediaTypes, OciError } from '@berth/oci'
import { type NamedExchange, requireServed, sendBytes, sendEmpty } from '../gateway/exchange.ts'
import { warningOf } from '../gateway/warning.ts'
import type { Lookup } from '../model/lookup.ts'
import type { SingleFinder } from './find-single.ts'
import type { LastPulls } from './last-pulls.ts'
import type { ManifestBytes } from './manifest-bytes.ts'

export type ManifestDelivery = {
  lookup: Lookup
  readBytes: ManifestBytes
  findSingle: SingleFinder
  pulls: LastPulls
}

/** `GET` and `HEAD /v2/<name>/manifests/<reference>` (distribution-spec, "Pulling manifests"). */
export async function getManifest(
  exchange: NamedExchange,
  reference: { tag?: string | undefined; digest?: Digest | undefined },
  { lookup, readBytes, findSingle, pulls }: ManifestDelivery,
): Promise<void> {
  const { request, basePath } = exchange
  const pointer = await requireServed(exchange)
  const stored = reference.digest
    ? await lookup.manifest(pointer, reference.digest)
    : await lookup.tag(pointer, reference.tag ?? '')
  if (!stored)
    throw new OciError('MANIFEST_UNKNOWN', `${basePath} has no manifest ${reference.digest ?? reference.tag}`)
  const isResolved = !reference.digest && stored.mediaType === mediaTypes.dockerList
  const manifest =
    isResolved && knowsOnlySingleManifests(request.headers.accept) ? await findSingle(pointer, stored) : stored
  // A HEAD is a look, not a pull: whoever watches a tag does not keep it alive.
  if (request.method === 'GET') pulls.note(pointer.repositoryId, { tag: reference.tag, digest: stored.digest })
  const etag = `"${manifest.digest}"`
  const headers = {
    'content-type': manifest.mediaType,
    'docker-content-digest': manifest.digest,
    etag,
    'cache-control': reference.digest ? 'max-age=31536000, immutable' : 'no-cache',
    ...(isResolved ? { vary: 'accept' } : {}),
    ...warningOf(pointer),
  }
  const known = request.headers['if-none-match']
  if (known !== undefined && (known === etag || known === manifest.digest)) {
    sendEmpty(exchange, 304, headers)
    return
  }
  if (request.method === 'HEAD') {
    exchange.response
      .writeHead(200, {
        'docker-distribution-api-version': 'registry/2.0',
        'x-content-type-options': 'nosniff',
        ...headers,
        'content-length': manifest.sizeBytes,
      })
      .end()
    return
  }
  sendBytes(exchange, 200, headers, await readBytes(manifest))
}
