import type { ManifestRecord } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Upstream } from './deps.ts'
import { inParallel } from './in-parallel.ts'

/**
 * Asks upstream what those entries of an index are whose type tells it not: a blob, or, where upstream has no such blob, a manifest
 * (docs/protocol.md#leniency). What upstream has in neither way stays a blob, and fails as one.
 */
export async function settleRoles(
  { client, repository, concurrency }: Pick<Upstream, 'client' | 'repository' | 'concurrency'>,
  record: ManifestRecord,
  signal: AbortSignal,
): Promise<ManifestRecord> {
  const unsure = new Set(record.references.flatMap(({ isUnsure, digest }) => (isUnsure ? [digest] : [])))
  if (unsure.size === 0) return record
  const manifests = new Set<Digest>()
  await inParallel(unsure, concurrency, signal, async (digest, both) => {
    if ((await client.blobSize(repository, digest, both)) !== undefined) return
    if (await client.resolve(repository, digest, both)) manifests.add(digest)
  })
  const references = record.references.map((one) =>
    one.isUnsure && manifests.has(one.digest) ? { ...one, role: 'manifest' as const } : one,
  )
  return { ...record, references }
}
