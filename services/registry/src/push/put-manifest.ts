import { createHash } from 'node:crypto'
import type { BlobStore } from '@berth/blobs'
import type { CatalogCommands, CommandClient } from '@berth/commands'
import {
  algorithmOf,
  asDigest,
  type Digest,
  isTag,
  manifestLimitBytes,
  OciError,
  type ParsedManifest,
  parseManifest,
} from '@berth/oci'
import { bodyOf } from '../gateway/early-answer.ts'
import { type NamedExchange, sendEmpty } from '../gateway/exchange.ts'
import type { Follower } from '../model/follow.ts'
import { type Leases, pushHolder, pushTarget } from './store-blob.ts'

const mostTags = 46

type Parts = { blobs: BlobStore; catalog: CommandClient<CatalogCommands>; follower: Follower; leases: Leases }

/** `PUT /v2/<name>/manifests/<reference>`: bytes first, row second, visible last (distribution-spec, "Pushing manifests"). */
export async function putManifest(
  exchange: NamedExchange,
  reference: { tag?: string | undefined; digest?: Digest | undefined },
  parts: Parts,
): Promise<void> {
  const tags = wantedTags(exchange, reference)
  const bytes = await readManifest(exchange)
  const digest = digestOf(bytes, reference.digest)
  const parsed = parseManifest(bytes, exchange.request.headers['content-type'])
  await storeManifest(exchange, { digest, bytes, parsed, tags }, parts)
  sendEmpty(exchange, 201, {
    location: `/v2/${exchange.basePath}/manifests/${digest}`,
    'docker-content-digest': digest,
    ...(parsed.subject ? { 'oci-subject': parsed.subject } : {}),
    ...(reference.digest && tags.length > 0 ? { 'oci-tag': tags.join(', ') } : {}),
  })
}

function wantedTags(exchange: NamedExchange, reference: { tag?: string | undefined }): string[] {
  if (reference.tag !== undefined) return [reference.tag]
  const tags = [...new Set(exchange.query.getAll('tag'))]
  if (tags.length > mostTags)
    throw new OciError('TAG_INVALID', `at most ${mostTags} tags can be given at once`, { status: 414 })
  const bad = tags.find((tag) => !isTag(tag))
  if (bad !== undefined) throw new OciError('TAG_INVALID', 'one of the tag parameters is not a tag')
  return tags
}

async function readManifest(exchange: NamedExchange): Promise<Buffer> {
  const tooLarge = () =>
    new OciError('MANIFEST_INVALID', `a manifest has ${manifestLimitBytes} bytes at most`, { status: 413 })
  const announced = Number(exchange.request.headers['content-length'] ?? 0)
  if (announced > manifestLimitBytes) throw tooLarge()
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of bodyOf(exchange.request)) {
    size += chunk.length
    if (size > manifestLimitBytes) throw tooLarge()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function digestOf(bytes: Buffer, wanted: Digest | undefined): Digest {
  const algorithm = wanted ? algorithmOf(wanted) : 'sha256'
  const digest = asDigest(`${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`)
  if (wanted && wanted !== digest)
    throw new OciError('DIGEST_INVALID', `the manifest's digest is ${digest}, not ${wanted}`)
  return digest
}

async function storeManifest(
  exchange: NamedExchange,
  manifest: { digest: Digest; bytes: Buffer; parsed: ParsedManifest; tags: string[] },
  { blobs, catalog, follower, leases }: Parts,
): Promise<void> {
  const { digest, bytes, parsed, tags } = manifest
  const lease = leases.take(exchange, digest)
  const target = pushTarget(exchange)
  const allowed = Promise.all([lease, target]).then(([{ generation }]) => generation)
  await blobs.write({ digest, generation: allowed }, once(bytes), { expectedBytes: bytes.length })
  const record = { ...parsed, digest, sizeBytes: bytes.length, generation: await allowed }
  const request = { ...(await target), holder: pushHolder(exchange), manifest: record, tags }
  const { change, rows } = await catalog.call('put-manifest', request, { requestId: exchange.requestId })
  await follower.apply(change.repositoryId, rows)
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes
}
