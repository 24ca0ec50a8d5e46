import type { BlobStore } from '@berth/blobs'
import type { CatalogCommands, CommandClient, ManifestRecord } from '@berth/commands'
import { type Digest, OciError, parseManifest } from '@berth/oci'
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

export type NeededBlob = { digest: Digest; sizeBytes: number }

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
      for (const { references } of await copyBatch(copying, digests)) {
        for (const { role, digest, sizeBytes, optional } of references) {
          if (optional) continue
          if (role !== 'manifest') blobs.set(digest, { digest, sizeBytes })
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
  const { manifests: known } = await catalog.call('known-manifests', { digests }, { signal })
  progress.manifests.done += known.length
  const have = new Set(known.map((manifest) => manifest.digest))
  // The bytes of known ones are leased too: they must not go while we build on them.
  const { blobs: leases } = await catalog.call(
    'lease-blobs',
    { holder: copying.holder, digests, ttlSeconds: leaseSeconds },
    { signal },
  )
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
  { remote, blobs }: Copying,
  digest: Digest,
  generation: number,
  signal: AbortSignal,
): Promise<ManifestRecord> {
  const { bytes, mediaType } = await remote.client.manifest(remote.repository, digest, signal)
  const parsed = readManifest(remote, digest, bytes, mediaType)
  await blobs.write({ digest, generation }, once(bytes), { signal, expectedBytes: bytes.length })
  return { ...parsed, digest, sizeBytes: bytes.length, generation }
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
