import { createHash } from 'node:crypto'
import type { BlobStore } from '@berth/blobs'
import type { CatalogCommands, CommandClient, StoredBlob } from '@berth/commands'
import {
  algorithmOf,
  asDigest,
  type Digest,
  isTag,
  manifestLimitBytes,
  OciError,
  type ParsedManifest,
  parsePushed,
} from '@berth/oci'
import { auditEntryOf } from '../exchange/audit-entry.ts'
import { type NamedExchange, sendEmpty } from '../exchange/exchange.ts'
import { warn } from '../exchange/warning.ts'
import type { Follower } from '../model/follow.ts'
import { verifySchema1 } from '../schema1/verify.ts'
import type { Generations } from './generations.ts'
import { type PushedBlobs, pushHolder, pushTarget } from './pushed-blobs.ts'
import { readBody } from './read-body.ts'

const mostTags = 46

type Deps = {
  blobs: BlobStore
  catalog: CommandClient<CatalogCommands>
  follower: Follower
  pushed: PushedBlobs
  generations: Generations
}

/** `PUT /v2/<name>/manifests/<reference>`: bytes first, row second, visible last (distribution-spec, "Pushing manifests"). */
export async function putManifest(
  exchange: NamedExchange,
  reference: { tag?: string | undefined; digest?: Digest | undefined },
  deps: Deps,
): Promise<void> {
  const tags = wantedTags(exchange, reference)
  const bytes = await readBody(exchange, manifestLimitBytes, tooLarge)
  const { signed, pushedType, ...parsed } = parsePushed(bytes, exchange.request.headers['content-type'])
  // Signatures are no part of what the digest of a schema 1 manifest is of (docs/decisions/0009).
  const payload = signed?.payload ?? bytes
  const digest = digestOf(payload, reference.digest)
  if (signed) verifySchema1(signed)
  const envelope = signed && { digest: digestOf(bytes, undefined), bytes }
  await storeManifest(exchange, { digest, bytes: payload, envelope, parsed, pushedType, tags }, deps)
  sendEmpty(exchange, 201, {
    location: `/v2/${exchange.basePath}/manifests/${digest}`,
    'docker-content-digest': digest,
    ...(parsed.subject ? { 'oci-subject': parsed.subject } : {}),
    ...(reference.digest && tags.length > 0 ? { 'oci-tag': tags.join(', ') } : {}),
  })
}

function tooLarge(): OciError {
  return new OciError('MANIFEST_INVALID', `a manifest has ${manifestLimitBytes} bytes at most`, { status: 413 })
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

function digestOf(bytes: Uint8Array, wanted: Digest | undefined): Digest {
  const algorithm = wanted ? algorithmOf(wanted) : 'sha256'
  const digest = asDigest(`${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`)
  if (wanted && wanted !== digest)
    throw new OciError('DIGEST_INVALID', `the manifest's digest is ${digest}, not ${wanted}`)
  return digest
}

type Content = { digest: Digest; bytes: Uint8Array }
type NewManifest = Content & {
  envelope: Content | undefined
  parsed: ParsedManifest
  pushedType: string | undefined
  tags: string[]
}

async function storeManifest(exchange: NamedExchange, manifest: NewManifest, deps: Deps): Promise<void> {
  const { parsed, pushedType, tags } = manifest
  const target = pushTarget(exchange)
  const write = (content: Content) => writeContent(content, target, deps)
  const envelopeIn = manifest.envelope
  const [to, stored, envelope] = await Promise.all([target, write(manifest), envelopeIn && write(envelopeIn)])
  const record = { ...parsed, ...stored, ...(envelope ? { envelope } : {}) }
  const type = pushedType === undefined ? {} : { pushedType }
  const request = { ...to, holder: pushHolder(exchange), manifest: record, tags, ...type }
  const { requestId } = exchange
  const audit = auditEntryOf(exchange, 'v2.manifest.put', [...tags, manifest.digest].join(' '))
  const {
    change,
    rows,
    stored: counting,
    warning,
  } = await deps.catalog.call('push-manifest', request, { requestId, audit })
  warn(exchange, warning)
  await deps.follower.apply(change.repositoryId, rows)
  for (const own of [stored, envelope])
    if (own)
      await deps.pushed.giveWay(
        own,
        counting.find((blob) => blob.digest === own.digest),
      )
}

/** Makes bytes durable, if the name takes pushes at all. */
async function writeContent(
  { digest, bytes }: Content,
  target: Promise<unknown>,
  { blobs, generations }: Pick<Deps, 'blobs' | 'generations'>,
): Promise<StoredBlob> {
  const generation = await generations.take()
  const allowed = target.then(() => generation)
  allowed.catch(() => 'told by the write, or by its source')
  await blobs.write({ digest, generation: allowed }, once(bytes), { expectedBytes: bytes.length })
  return { digest, generation, sizeBytes: bytes.length }
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes
}
