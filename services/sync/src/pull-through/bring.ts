import { randomUUID } from 'node:crypto'
import type { BlobStore } from '@berth/blobs'
import type { CatalogCommands, CommandClient, ManifestRecord, SyncCommands } from '@berth/commands'
import { type Digest, parseDigest } from '@berth/oci'
import { normalizeRegistryUrl, type RegistryClient, upstreamRepository } from '@berth/registry-client'
import { type Database, type Logger, notFound } from '@berth/service'
import { bringBlobs } from '../copy/bring-blobs.ts'
import { fetchManifest, leaseSeconds, type NeededBlob, proveManifests } from '../copy/copy-manifests.ts'
import { createFailures } from '../copy/failures.ts'
import { newProgress } from '../copy/progress.ts'
import { createProofs } from '../copy/proofs.ts'
import type { Prisma } from '../db/client.ts'
import type { Remote } from '../db/generated/client.ts'
import type { SignaturePolicy } from '../remotes/fields.ts'
import type { KeptClients } from '../remotes/kept-clients.ts'
import { requireSignature } from '../verify/require-signature.ts'
import { refuseOtherHost, refuseOthers } from './allowed-names.ts'
import { asProblem, blobMissing, notUpstream } from './upstream-problem.ts'

export type PullThroughParts = {
  db: Database
  prisma: Prisma
  catalog: CommandClient<CatalogCommands>
  blobs: BlobStore
  remotes: KeptClients
  log: Logger
}
type Pull = SyncCommands['pull-through']

/**
 * Brings one manifest as upstream has it now: with its configuration at once, layers when they are pulled, and of an index
 * nothing of what it names. Makes a version only when that is new here.
 */
export async function pullThrough(
  parts: PullThroughParts,
  request: Pull['request'],
  signal: AbortSignal,
): Promise<Pull['reply']> {
  const remote = await parts.prisma.remote.findUnique({ where: { id: request.remoteId } })
  if (!remote) throw notFound('remote', request.remoteId)
  refuseOthers(remote, request.upstreamName)
  const url = normalizeRegistryUrl(remote.url)
  refuseOtherHost(url.host, request.host)
  const repository = upstreamRepository(url, request.upstreamName)
  try {
    return await parts.remotes.use(remote, (client) =>
      bring(parts, { remote, client, repository, host: url.host }, request, signal),
    )
  } catch (error) {
    signal.throwIfAborted()
    throw asProblem(error, url.host)
  }
}

type Upstream = { remote: Remote; client: RegistryClient; repository: string; host: string }

async function bring(
  parts: PullThroughParts,
  upstream: Upstream,
  { via, name, reference, actor }: Pull['request'],
  signal: AbortSignal,
): Promise<Pull['reply']> {
  const { catalog } = parts
  const found = await upstream.client.resolve(upstream.repository, reference, signal)
  if (!found) throw notUpstream(upstream.host, upstream.repository, reference)
  const { digest } = found
  await requireTrust(catalog, upstream, { name, reference, digest }, signal)
  // Only now: what upstream does not have, or nobody may have, leaves no trace here.
  const { repository: target } = await catalog.call('ensure-pulled', { via, name, actor }, { signal })
  const tag = parseDigest(reference) ? undefined : reference
  if (await isHere(catalog, target.id, { tag, digest })) return { digest, changed: false }
  const stage = randomUUID()
  const holder = `pull-through:${stage}`
  try {
    await copyOne(parts, upstream, { digest, stage, holder, repositoryId: target.id }, signal)
    const content = tag === undefined ? { tags: [], members: [digest] } : { tags: [{ name: tag, digest }] }
    await catalog.call('stage-content', { stage, fence: 1, manifests: [], ...content }, { signal })
    const commit = { repositoryId: target.id, stage, fence: 1, actor, taskId: null, force: false }
    await catalog.call('commit-stage', { ...commit, cause: 'sync', mode: 'additive' }, { signal })
    return { digest, changed: true }
  } finally {
    await end(parts, stage, holder)
  }
}

// What speaks for others is not signed itself.
const companion = /^sha\d+-[0-9a-f]{64,128}(\.(sig|att|sbom))?$/

/**
 * Refuses what is not signed as the remote requires. An index that is here vouches for what it names, to those who ask by digest
 * as clients do that have read it. Not for a tag: companions come unsigned, and one that is an index could name anything.
 */
async function requireTrust(
  catalog: CommandClient<CatalogCommands>,
  { remote, client, repository }: Upstream,
  { name, reference, digest }: { name: string; reference: string; digest: Digest },
  signal: AbortSignal,
): Promise<void> {
  const policy = remote.signatures as SignaturePolicy | null
  if (!policy?.require || companion.test(reference)) return
  if (parseDigest(reference) && (await catalog.call('is-named', { repository: name, digest }, { signal })).isNamed)
    return
  await requireSignature({ client, repository }, policy, digest, signal)
}

async function isHere(
  catalog: CommandClient<CatalogCommands>,
  repositoryId: string,
  { tag, digest }: { tag: string | undefined; digest: Digest },
): Promise<boolean> {
  if (tag === undefined) return (await catalog.call('members', { repositoryId, digests: [digest] })).digests.length > 0
  return (await catalog.call('tag', { repositoryId, name: tag })).digest === digest
}

async function copyOne(
  parts: PullThroughParts,
  upstream: Upstream,
  to: { digest: Digest; stage: string; holder: string; repositoryId: string },
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
async function end({ catalog, log }: PullThroughParts, stage: string, holder: string): Promise<void> {
  try {
    await catalog.call('close-stage', { stage, fence: 1 })
    await catalog.call('release-leases', { holder })
  } catch (error) {
    log.warn('the stage of a pull is left to run out', { stage, error })
  }
}
