import { createHash } from 'node:crypto'
import type { BlobStore } from '@berth/blobs'
import type { CatalogCommands, CommandClient, ManifestRecord, StoredBlob } from '@berth/commands'
import { asDigest, type Digest, isSchema1Type, OciError, parseManifest } from '@berth/oci'
import { UpstreamError } from '@berth/registry-client'
import type { OpenRemote } from '../remotes/open-remote.ts'
import { inBatches, inParallel } from './in-parallel.ts'
import type { Progress } from './progress.ts'

/** What a run works with. `stage` and `fence` name it to catalog; `holder` holds its leases. */
export type Copying = {
  remote: OpenRemote
  catalog: CommandClient<CatalogCommands>
  blobs: BlobStore
  stage: string
  fence: number
  holder: string
  concurrency: number
  progress: Progress
  signal: AbortSignal
}

/** A blob, its size if a manifest says one (those of schema 1 do not), and whether it is nothing else than a layer. */
export type NeededBlob = { digest: Digest; sizeBytes: number | undefined; isLayer: boolean }

export const leaseSeconds = 3_600
const batch = 200

/**
 * Copies manifests and all manifests below them, each once: known ones are only looked into, the others are fetched, stored
 * and staged, a batch at a time. Answers the blobs they name.
 */
export async function copyManifests(copying: Copying, roots: readonly Digest[]): Promise<Map<Digest, NeededBlob>> {
  const blobs = new Map<Digest, NeededBlob>()
  const seen = new Set<Digest>(roots)
  let level = [...seen]
  copying.progress.manifests.total = seen.size
  while (level.length > 0) {
    const below: Digest[] = []
    for (const digests of inBatches(level, batch)) {
      for (const { references, mediaType } of await copyBatch(copying, digests)) {
        for (const { role, digest, sizeBytes, optional } of references) {
          if (optional) continue
          const known = blobs.get(digest)
          const said = isSchema1Type(mediaType) ? known?.sizeBytes : sizeBytes
          const isLayer = role === 'layer' && known?.isLayer !== false
          if (role !== 'manifest') blobs.set(digest, { digest, sizeBytes: said, isLayer })
          else if (!seen.has(digest)) {
            seen.add(digest)
            below.push(digest)
          }
        }
      }
    }
    copying.progress.manifests.total = seen.size
    level = below
  }
  return blobs
}

async function copyBatch(copying: Copying, digests: Digest[]): Promise<ManifestRecord[]> {
  const { catalog, progress, stage, fence, signal } = copying
  // Leased first: what is known after that stays so with all it names, and can be built on.
  const { blobs: leases } = await catalog.call(
    'lease-blobs',
    { holder: copying.holder, digests, ttlSeconds: leaseSeconds },
    { signal },
  )
  const { manifests: known } = await catalog.call('known-manifests', { digests }, { signal })
  progress.manifests.done += known.length
  const have = new Set(known.map((manifest) => manifest.digest))
  const generations = new Map(leases.map((lease) => [lease.digest, lease.generation]))
  const fetched: ManifestRecord[] = []
  await inParallel(
    digests.filter((digest) => !have.has(digest)),
    copying.concurrency,
    signal,
    async (digest, both) => {
      fetched.push(await copyOne(copying, digest, generations.get(digest) ?? 1, both))
      progress.manifests.done++
    },
  )
  await catalog.call('stage-content', { stage, fence, manifests: fetched, tags: [] }, { signal })
  return [...known, ...fetched]
}

async function copyOne(
  copying: Copying,
  digest: Digest,
  generation: number,
  signal: AbortSignal,
): Promise<ManifestRecord> {
  const { remote, blobs } = copying
  const { bytes, mediaType } = await remote.client.manifest(remote.repository, digest, signal)
  const { signed, ...parsed } = readManifest(remote, digest, bytes, mediaType)
  const payload = signed?.payload ?? bytes
  await blobs.write({ digest, generation }, once(payload), { signal, expectedBytes: payload.length })
  const envelope = signed ? { envelope: await storeEnvelope(copying, bytes, signal) } : {}
  return { ...parsed, digest, sizeBytes: payload.length, generation, ...envelope }
}

/** Stores a signed manifest as it came, beside what its digest is of (docs/decisions/0009). */
async function storeEnvelope(
  { catalog, blobs, holder }: Copying,
  bytes: Uint8Array,
  signal: AbortSignal,
): Promise<StoredBlob> {
  const digest = asDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)
  const { blobs: leases } = await catalog.call(
    'lease-blobs',
    { holder, digests: [digest], ttlSeconds: leaseSeconds },
    { signal },
  )
  const generation = leases[0]?.generation ?? 1
  await blobs.write({ digest, generation }, once(bytes), { signal, expectedBytes: bytes.length })
  return { digest, generation, sizeBytes: bytes.length }
}

function readManifest(remote: OpenRemote, digest: Digest, bytes: Uint8Array, mediaType: string) {
  try {
    return parseManifest(bytes, mediaType)
  } catch (cause) {
    if (!(cause instanceof OciError)) throw cause
    throw new UpstreamError(
      'protocol',
      `${remote.host} has a manifest ${digest} in ${remote.repository} that cannot be taken: ${cause.message}`,
      { host: remote.host, cause },
    )
  }
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes
}
