import { createReadStream } from 'node:fs'
import type { BlobStore } from '@berth/blobs'
import type { CatalogCommands, CommandClient, LeasedBlob, ManifestRecord, StoredBlob } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { holderOf, leaseSeconds } from '../inputs/keep-context.ts'
import type { BuiltContent, BuiltManifest } from './read-layout.ts'

export type StoreDeps = { catalog: CommandClient<CatalogCommands>; blobs: BlobStore; buildId: string }

const digestsAtOnce = 500

/** Puts blobs of files into the store, those that are not there yet, under leases of the build. */
export async function storeBlobs(deps: StoreDeps, content: BuiltContent['blobs'], signal: AbortSignal): Promise<void> {
  const digests = [...content.keys()]
  for (let at = 0; at < digests.length; at += digestsAtOnce) {
    const durable: StoredBlob[] = []
    for (const { digest, generation, state } of await lease(deps, digests.slice(at, at + digestsAtOnce), signal)) {
      const source = content.get(digest)
      if (state === 'present' || !source) continue
      const { file, sizeBytes } = source
      await deps.blobs.write({ digest, generation }, createReadStream(file), { signal, expectedBytes: sizeBytes })
      durable.push({ digest, generation, sizeBytes })
    }
    if (durable.length > 0)
      await deps.catalog.call('record-blobs', { holder: holderOf(deps.buildId), blobs: durable }, { signal })
  }
}

/** Stores manifests, and answers them as they are recorded. */
export async function storeManifests(
  deps: StoreDeps,
  manifests: readonly BuiltManifest[],
  signal: AbortSignal,
): Promise<ManifestRecord[]> {
  const leases = await lease(
    deps,
    manifests.map(({ digest }) => digest),
    signal,
  )
  const generations = new Map(leases.map((one) => [one.digest, one]))
  const records: ManifestRecord[] = []
  for (const { bytes, signed: _none, ...parsed } of manifests) {
    const known = generations.get(parsed.digest)
    if (!known) throw new Error(`catalog gave no lease of ${parsed.digest}`)
    const { generation, state } = known
    const key = { digest: parsed.digest, generation }
    if (state !== 'present') await deps.blobs.write(key, once(bytes), { signal, expectedBytes: bytes.length })
    records.push({ ...parsed, sizeBytes: bytes.length, generation })
  }
  return records
}

async function lease({ catalog, buildId }: StoreDeps, digests: Digest[], signal: AbortSignal): Promise<LeasedBlob[]> {
  const request = { holder: holderOf(buildId), digests, ttlSeconds: leaseSeconds }
  return (await catalog.call('lease-blobs', request, { signal })).blobs
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes
}
