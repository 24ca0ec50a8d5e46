import type { CatalogCommands, CommandClient, ManifestRecord } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { NeededBlob } from '../fetch/blob-line.ts'
import { createFailures } from '../fetch/failures.ts'
import { fetchByPolicy } from '../fetch/fetch-by-policy.ts'
import { fetchManifest } from '../fetch/fetch-manifest.ts'
import { leaseBlobs } from '../fetch/lease-blobs.ts'
import { newProgress } from '../fetch/progress.ts'
import { createProofs } from '../fetch/proofs.ts'
import { proveManifests } from '../fetch/prove-manifests.ts'
import { type Stage, stageContent } from '../fetch/stage-content.ts'
import type { PulledUpstream, PullThroughDeps } from './upstream.ts'
import { blobMissing } from './upstream-problem.ts'

/**
 * Fetches one manifest with its configuration, and stages it; its layers are fetched when they are pulled. `check` may refuse it by
 * throwing.
 */
export async function fetchOne(
  deps: PullThroughDeps,
  { remote, ...open }: PulledUpstream,
  to: { digest: Digest; stage: Stage; holder: string; repositoryId: string; check?: (record: ManifestRecord) => void },
  signal: AbortSignal,
): Promise<void> {
  const { db, catalog, blobs } = deps
  const { digest, stage, holder } = to
  const place = { remoteId: remote.id, repository: open.repository, target: to }
  const upstream = { ...open, proofs: createProofs(deps, place) }
  const store = { catalog, blobs, holder }
  const report = { progress: newProgress(), failures: createFailures('fail') }
  const [lease] = await leaseBlobs(store, [digest], signal)
  const { manifests: known } = await catalog.call('list-known-manifests', { digests: [digest] }, { signal })
  const [proven] = await proveManifests({ upstream, report }, known, signal)
  const record = proven ?? (await fetchManifest({ upstream, store }, digest, lease?.generation ?? 1, signal))
  if (!proven) await upstream.proofs.given([digest])
  to.check?.(record)
  const omitted = await membersLeftOut(catalog, to.repositoryId, record)
  await stageContent(stage, { manifests: proven ? [] : [record], omitted }, signal)
  // Served while it is stored: of a remote that fetches everything when it syncs, layers come when they are pulled too.
  const policy = remote.policy === 'streamed' ? 'streamed' : 'on_demand'
  const origin = { db, remoteId: remote.id, policy }
  try {
    await fetchByPolicy({ upstream, store, stage, report }, neededBy(record), origin, signal)
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

/** What of an index is not in the repository: each manifest is fetched when it is pulled. */
async function membersLeftOut(
  catalog: CommandClient<CatalogCommands>,
  repositoryId: string,
  { digest, references }: ManifestRecord,
): Promise<{ manifest: Digest; child: Digest }[]> {
  const children = references.filter((one) => one.role === 'manifest' && !one.optional).map((one) => one.digest)
  if (children.length === 0) return []
  const here = new Set((await catalog.call('list-members', { repositoryId, digests: children })).digests)
  return children.filter((child) => !here.has(child)).map((child) => ({ manifest: digest, child }))
}

/** Lets go of what a pull held. When this is not heard, it runs out by itself. */
export async function endStage({ catalog, log }: PullThroughDeps, { id, fence }: Stage, holder: string): Promise<void> {
  try {
    await catalog.call('close-stage', { stage: id, fence })
    await catalog.call('release-leases', { holder })
  } catch (error) {
    log.warn('the stage of a pull is left to run out', { stage: id, error })
  }
}
