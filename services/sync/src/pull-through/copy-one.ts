import type { CatalogCommands, CommandClient, ManifestRecord } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { NeededBlob } from '../copy/blob-line.ts'
import { bringBlobs } from '../copy/bring-blobs.ts'
import { fetchManifest, leaseSeconds, proveManifests } from '../copy/copy-manifests.ts'
import { createFailures } from '../copy/failures.ts'
import { newProgress } from '../copy/progress.ts'
import { createProofs } from '../copy/proofs.ts'
import type { PullThroughParts, Upstream } from './upstream.ts'
import { blobMissing } from './upstream-problem.ts'

/** Copies one manifest with its configuration, and stages it; its layers come when they are pulled. `check` may refuse it by throwing. */
export async function copyOne(
  parts: PullThroughParts,
  upstream: Upstream,
  to: { digest: Digest; stage: string; holder: string; repositoryId: string; check?: (record: ManifestRecord) => void },
  signal: AbortSignal,
): Promise<void> {
  const { catalog, blobs } = parts
  const { digest, stage, holder } = to
  const fetching = { remote: upstream, catalog, blobs, holder }
  const lease = { holder, digests: [digest], ttlSeconds: leaseSeconds }
  const { blobs: leases } = await catalog.call('lease-blobs', lease, { signal })
  const { manifests: known } = await catalog.call('known-manifests', { digests: [digest] }, { signal })
  const place = { remoteId: upstream.remote.id, repository: upstream.repository }
  const copying = {
    ...fetching,
    stage,
    fence: 1,
    concurrency: upstream.remote.concurrency,
    platforms: [],
    indexes: new Map(),
    proofs: createProofs(parts, { ...place, target: to }),
    includeForeignLayers: false,
    isPlan: false,
    fetched: { count: 0 },
    failures: createFailures('fail'),
    progress: newProgress(),
    signal,
  }
  const [proven] = await proveManifests(copying, known)
  const record = proven ?? (await fetchManifest(fetching, digest, leases[0]?.generation ?? 1, signal))
  if (!proven) await copying.proofs.given([digest])
  to.check?.(record)
  const needed = neededBy(record)
  const omitted = await membersLeftOut(catalog, to.repositoryId, record)
  const manifests = proven ? [] : [record]
  await catalog.call('stage-content', { stage, fence: 1, manifests, tags: [], omitted }, { signal })
  // Served while it is stored: of a remote that copies everything when it syncs, layers come when they are pulled too.
  const policy = upstream.remote.policy === 'streamed' ? 'streamed' : 'on_demand'
  try {
    await bringBlobs(copying, needed, { db: parts.db, remoteId: upstream.remote.id, policy })
  } catch (error) {
    throw blobMissing(error, upstream.host, upstream.repository)
  }
}

function neededBy({ references }: ManifestRecord): Map<Digest, NeededBlob> {
  const needed = new Map<Digest, NeededBlob>()
  for (const { role, digest, sizeBytes, optional } of references) {
    if (optional || (role !== 'config' && role !== 'layer')) continue
    needed.set(digest, { digest, sizeBytes, isLayer: role === 'layer' && needed.get(digest)?.isLayer !== false })
  }
  return needed
}

/** What of an index is not in the repository: each comes when somebody pulls it. */
async function membersLeftOut(
  catalog: CommandClient<CatalogCommands>,
  repositoryId: string,
  { digest, references }: ManifestRecord,
): Promise<{ manifest: Digest; child: Digest }[]> {
  const children = references.filter((one) => one.role === 'manifest' && !one.optional).map((one) => one.digest)
  if (children.length === 0) return []
  const here = new Set((await catalog.call('members', { repositoryId, digests: children })).digests)
  return children.filter((child) => !here.has(child)).map((child) => ({ manifest: digest, child }))
}

/** Lets go of what a pull held. Not heard, it runs out by itself. */
export async function endStage({ catalog, log }: PullThroughParts, stage: string, holder: string): Promise<void> {
  try {
    await catalog.call('close-stage', { stage, fence: 1 })
    await catalog.call('release-leases', { holder })
  } catch (error) {
    log.warn('the stage of a pull is left to run out', { stage, error })
  }
}
