import type { BlobStore } from '@berth/blobs'
import type { CatalogCommands, CommandClient } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Database } from '@berth/service'
import { bringBlobs, bringDeferred, type Origin } from '../copy/bring-blobs.ts'
import type { BlobCounts } from '../copy/copy-blobs.ts'
import { type Copying, copyManifests } from '../copy/copy-manifests.ts'
import { inBatches } from '../copy/in-parallel.ts'
import type { Progress } from '../copy/progress.ts'
import { type Chosen, checkDigests, type ResolvedTag, resolveTags } from '../copy/resolve-tags.ts'
import type { Remote, SyncRun } from '../db/generated/client.ts'
import type { OpenRemote } from '../remotes/open-remote.ts'

/** What a run did. `created` is false when upstream had nothing new; the version is then the one there was. */
export type SyncResult = CatalogCommands['commit-stage']['reply'] & {
  bytesFetched: number
  bytesSaved: number
  tagsChecked: number
}

export type Running = {
  db: Database
  run: SyncRun
  remote: Remote
  open: OpenRemote
  fence: number
  catalog: CommandClient<CatalogCommands>
  blobs: BlobStore
  progress: Progress
  signal: AbortSignal
}

const tagsPerStage = 10_000
const tagsPerPage = 10_000
const commitPatienceMs = 300_000

/**
 * One sync, from the list of tags to the committed version: resolve, compare, copy what is new (graph first, then bytes),
 * stage, commit. Everything before the commit is invisible and can be repeated.
 */
export async function runSync(running: Running): Promise<SyncResult> {
  const { run, remote, open, catalog, progress, signal } = running
  const upstream = await resolveTags(open, remote, progress, signal)
  const current = await currentTags(catalog, run.repositoryId, signal)
  const changed = upstream.tags.filter((tag) => current.get(tag.name) !== tag.digest)
  const added = await absentDigests(running, upstream.digests)
  await checkDigests(open, added, remote.concurrency, signal)
  const isMirror = run.mode === 'mirror'
  const copying: Copying = {
    remote: open,
    catalog,
    blobs: running.blobs,
    stage: run.id,
    fence: running.fence,
    holder: holderOf(run),
    concurrency: remote.concurrency,
    progress,
    signal,
  }
  const origin: Origin = { db: running.db, remoteId: remote.id, policy: remote.policy }
  const late = await bringDeferred(copying, run.repositoryId, origin)
  const tagsChecked = upstream.tags.length
  // A mirror's commit compares everything, for the repository may have what upstream never had.
  if (changed.length === 0 && added.length === 0 && !isMirror) return nothingNew(catalog, run, tagsChecked, late)
  const blobs = await copyManifests(copying, [...new Set([...changed.map((tag) => tag.digest), ...added])])
  const counts = await bringBlobs(copying, blobs, origin)
  const reply = await commit(running, isMirror ? upstream : { tags: changed, digests: added })
  const bytesFetched = counts.fetchedBytes + (late?.fetchedBytes ?? 0)
  return { ...reply, bytesFetched, bytesSaved: counts.savedBytes, tagsChecked }
}

/** The holder of a run's leases. */
export function holderOf(run: { id: string }): string {
  return `sync:${run.id}`
}

async function absentDigests({ catalog, run, signal }: Running, digests: readonly Digest[]): Promise<Digest[]> {
  if (digests.length === 0) return []
  const { repositoryId } = run
  const { digests: present } = await catalog.call('members', { repositoryId, digests: [...digests] }, { signal })
  return digests.filter((digest) => !present.includes(digest))
}

async function currentTags(
  catalog: CommandClient<CatalogCommands>,
  repositoryId: string,
  signal: AbortSignal,
): Promise<Map<string, Digest>> {
  const tags = new Map<string, Digest>()
  let after: string | undefined
  do {
    const page = await catalog.call(
      'tags',
      { repositoryId, limit: tagsPerPage, ...(after === undefined ? {} : { after }) },
      { signal },
    )
    for (const { name, digest } of page.tags) tags.set(name, digest)
    after = page.tags.length === tagsPerPage ? page.tags.at(-1)?.name : undefined
  } while (after !== undefined)
  return tags
}

async function nothingNew(
  catalog: CommandClient<CatalogCommands>,
  run: SyncRun,
  tagsChecked: number,
  late: BlobCounts | undefined,
): Promise<SyncResult> {
  const { repository } = await catalog.call('repository', { repository: run.repositoryId })
  const tags = { added: [], moved: [], removed: [] }
  return {
    version: repository?.latestVersion ?? 0,
    created: false,
    tags,
    tagCounts: { added: 0, moved: 0, removed: 0 },
    bytesFetched: late?.fetchedBytes ?? 0,
    bytesSaved: 0,
    tagsChecked,
  }
}

async function commit(
  { run, fence, catalog, signal }: Running,
  staged: Chosen,
): Promise<CatalogCommands['commit-stage']['reply']> {
  const stage = (tags: ResolvedTag[], members: readonly Digest[]) =>
    catalog.call('stage-content', { stage: run.id, fence, manifests: [], tags, members: [...members] }, { signal })
  for (const tags of inBatches(staged.tags, tagsPerStage)) await stage(tags, [])
  if (staged.digests.length > 0) await stage([], staged.digests)
  return sendCommit(catalog, run, fence, signal)
}

/** Commits what a run has staged; again gives the same reply. */
export async function sendCommit(
  catalog: CommandClient<CatalogCommands>,
  run: SyncRun,
  fence: number,
  signal?: AbortSignal,
): Promise<CatalogCommands['commit-stage']['reply']> {
  const request = {
    repositoryId: run.repositoryId,
    stage: run.id,
    fence,
    cause: 'sync' as const,
    actor: run.actor,
    taskId: run.taskId,
    mode: run.mode === 'mirror' ? ('mirror' as const) : ('additive' as const),
    force: run.force,
  }
  return catalog.call('commit-stage', request, { timeoutMs: commitPatienceMs, ...(signal ? { signal } : {}) })
}
