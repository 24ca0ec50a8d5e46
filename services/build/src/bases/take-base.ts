import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { BlobStore } from '@berth/blobs'
import { type LeasedBlob, type ManifestRecord, storedGeneration } from '@berth/commands'
import { algorithmOf, type Digest, hexOf, isSchema1Type, type Reference as ManifestReference } from '@berth/oci'
import { Problem } from '@berth/service'
import type { Base } from '../engines/engine.ts'
import { holderOf, leaseSeconds } from '../inputs/keep-context.ts'
import type { NamedImage } from './references.ts'
import { type FoundBase, findAt, type ResolveDeps } from './resolve-base.ts'

export type TakeDeps = ResolveDeps & {
  blobs: BlobStore
  buildId: string
}
type Wanted = { digest: Digest; sizeBytes: number; mediaType: string }

const digestsAtOnce = 500

/** An image in a layout, with the bytes of its configurations as they are read anyway. */
export type TakenBase = Base & { configs: Buffer[] }

/**
 * Writes an image out of the blob store into an OCI layout: of an index only what the platforms need. What lies at a remote is fetched as for
 * a pull. All of it is leased until the build ends.
 */
export async function takeBase(
  deps: TakeDeps,
  { found, image, layout }: { found: FoundBase; image: NamedImage; layout: string },
  signal: AbortSignal,
): Promise<TakenBase> {
  await mkdir(path.join(layout, 'blobs'), { recursive: true })
  const top = await readRecord(deps, found.digest, signal)
  const images = top.isIndex ? await childrenOf(deps, { top, found, image }, signal) : [top]
  const manifests = top.isIndex ? [top, ...images] : images
  const blobs = images.flatMap((image) => image.references.filter(({ role }) => role === 'config' || role === 'layer'))
  const wanted = new Map<Digest, Wanted>()
  for (const { digest, sizeBytes, mediaType } of manifests) wanted.set(digest, { digest, sizeBytes, mediaType })
  for (const { digest, sizeBytes = 0, mediaType } of blobs) wanted.set(digest, { digest, sizeBytes, mediaType })
  await copyAll(deps, [...wanted.values()], layout, signal)
  await writeFile(path.join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  const { digest, mediaType, sizeBytes } = top
  await writeFile(
    path.join(layout, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType, digest, size: sizeBytes }] }),
  )
  const configs = await Promise.all(
    blobs.filter(({ role }) => role === 'config').map((config) => readFile(path.join(layout, pathOf(config.digest)))),
  )
  return { layout, digest, mediaType, configs }
}

async function readRecord({ catalog }: TakeDeps, digest: Digest, signal: AbortSignal): Promise<ManifestRecord> {
  const { manifests } = await catalog.call('list-known-manifests', { digests: [digest] }, { signal })
  const [record] = manifests
  if (!record) throw new Problem(409, 'base_gone', `The image ${digest} was deleted meanwhile.`)
  if (record.envelope || isSchema1Type(record.mediaType))
    throw new Problem(400, 'base_unusable', `${digest} is of Docker's first format, on which nothing can be built.`, {
      field: 'containerfile',
      hint: 'Push or mirror the image in a newer format.',
    })
  return record
}

/** The images of an index for the platforms that are built, fetched where a pull would fetch them. */
async function childrenOf(
  deps: TakeDeps,
  { top, found, image }: { top: ManifestRecord; found: FoundBase; image: NamedImage },
  signal: AbortSignal,
): Promise<ManifestRecord[]> {
  const { reference: text, line, platforms } = image
  const children = top.references.filter(({ role }) => role === 'manifest')
  const chosen = children.filter((child) => platforms.some((platform) => isFor(child, platform)))
  const lacking = platforms.filter((platform) => !children.some((child) => isFor(child, platform)))
  if (lacking.length > 0) {
    const has = children.map(platformOf).filter((one) => one !== 'unknown/unknown')
    throw new Problem(
      400,
      'base_lacks_platform',
      `Containerfile:${line}: ${text} is not there for ${lacking.join(', ')}.`,
      {
        field: 'platform',
        hint: `It is there for ${[...new Set(has)].slice(0, 20).join(', ') || 'none'}.`,
      },
    )
  }
  const records: ManifestRecord[] = []
  for (const { digest } of chosen) {
    const child = await findAt(deps, { basePath: found.basePath, digest }, signal)
    if (!child)
      throw new Problem(400, 'base_incomplete', `Containerfile:${line}: ${text} names ${digest}, which is not here.`, {
        field: 'containerfile',
        hint: 'Sync it with this platform.',
      })
    records.push(await readRecord(deps, digest, signal))
  }
  return records
}

function platformOf({ platform }: ManifestReference): string {
  const { os = '', architecture = '', variant } = (platform ?? {}) as Record<string, string | undefined>
  return [os, architecture, ...(variant ? [variant] : [])].join('/')
}

/** arm64 is v8 where nothing is said. */
function isFor(child: ManifestReference, platform: string): boolean {
  const plain = (text: string) => text.replace(/^(\w+\/arm64)\/v8$/, '$1')
  return plain(platformOf(child)) === plain(platform)
}

async function copyAll(deps: TakeDeps, wanted: readonly Wanted[], layout: string, signal: AbortSignal): Promise<void> {
  const byDigest = new Map(wanted.map((one) => [one.digest, one]))
  for (let at = 0; at < wanted.length; at += digestsAtOnce) {
    const digests = wanted.slice(at, at + digestsAtOnce).map(({ digest }) => digest)
    const request = { holder: holderOf(deps.buildId), digests, ttlSeconds: leaseSeconds }
    const { blobs } = await deps.catalog.call('lease-blobs', request, { signal })
    for (const lease of blobs) {
      const one = byDigest.get(lease.digest)
      if (one) await copyBlob(deps, lease, one, path.join(layout, pathOf(lease.digest)), signal)
    }
  }
}

function pathOf(digest: Digest): string {
  return path.join('blobs', algorithmOf(digest), hexOf(digest))
}

async function copyBlob(
  deps: TakeDeps,
  lease: LeasedBlob,
  wanted: Wanted,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  const { digest } = wanted
  await mkdir(path.dirname(file), { recursive: true })
  const hash = createHash(algorithmOf(digest))
  const source = await openBytes(deps, lease, wanted, signal)
  await pipeline(
    source,
    async function* (chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) {
        hash.update(chunk)
        yield chunk
      }
    },
    createWriteStream(`${file}.part`),
    { signal },
  )
  if (hash.digest('hex') !== hexOf(digest))
    throw new Problem(
      500,
      'base_damaged',
      `The stored bytes of ${digest} are damaged; a repair of the store brings them back.`,
    )
  await rename(`${file}.part`, file)
}

async function openBytes(
  { blobs, sync }: TakeDeps,
  { digest, generation, state }: LeasedBlob,
  { sizeBytes }: Wanted,
  signal: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const stored = async (key: number) => {
    const blob = await blobs.open({ digest, generation: key })
    if (!blob) throw new Problem(409, 'base_gone', `The bytes of ${digest} are not in the store.`)
    return closing(blob)
  }
  if (state === 'present') return stored(generation)
  const { headers, body } = await sync.bytes('fetch-blob', { digest, sizeBytes }, { signal })
  const now = headers[storedGeneration]
  if (typeof now !== 'string') return body
  body.resume()
  return stored(Number(now))
}

async function* closing(blob: NonNullable<Awaited<ReturnType<BlobStore['open']>>>): AsyncIterable<Uint8Array> {
  try {
    yield* blob.stream()
  } finally {
    await blob.close()
  }
}
