import type { BlobStore } from '@berth/blobs'
import type { CatalogCommands, CommandClient } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { type Database, Problem } from '@berth/service'
import { bringBlobs, type Origin } from '../copy/bring-blobs.ts'
import { bringDeferred } from '../copy/bring-deferred.ts'
import { nothingWanted } from '../copy/choose.ts'
import type { Chosen, ResolvedTag } from '../copy/chosen.ts'
import { type Copying, copyManifests, emptyGraph, type Graph } from '../copy/copy-manifests.ts'
import { createFailures, type Failures, failedRoots, type SyncFailure } from '../copy/failures.ts'
import { lookInto, membersOf } from '../copy/look-into.ts'
import type { Progress } from '../copy/progress.ts'
import { createProofs } from '../copy/proofs.ts'
import { checkDigests, resolveTags } from '../copy/resolve-tags.ts'
import { bringWhileFound } from '../copy/while-found.ts'
import type { Remote } from '../db/generated/client.ts'
import type { OpenRemote } from '../remotes/open-remote.ts'
import { requirementsOf } from '../verify/requirements.ts'
import { type Change, commitRun, nothingNew } from './commit-run.ts'
import { areCompanionsDue, noteCompanions } from './companions-due.ts'
import { isFirstRun } from './first-run.ts'
import { type FollowedCompanions, followCompanions } from './follow-companions.ts'
import { foreignDue } from './foreign-due.ts'
import { nowhere, type PlacedRun, placeRun } from './placed-run.ts'
import { countRequests, type SyncPlan, sumUp } from './plan-run.ts'
import { type RepositoryNow, readRepository } from './read-repository.ts'
import { verifyWanted, type Wanted } from './verify-wanted.ts'

/** What a run did. `created` is false when upstream had nothing new; the version is then the one there was. */
export type SyncResult = CatalogCommands['commit-stage']['reply'] & {
  bytesFetched: number
  bytesSaved: number
  tagsChecked: number
  /** The first of them; always empty unless the run was to skip what fails. */
  failures: SyncFailure[]
  failureCount: number
}

export type Running = {
  db: Database
  run: PlacedRun
  remote: Remote
  open: OpenRemote
  fence: number
  catalog: CommandClient<CatalogCommands>
  blobs: BlobStore
  progress: Progress
  signal: AbortSignal
}

const mostFailuresShown = 1_000

/**
 * One sync, from the list of tags to the committed version: resolve, compare, copy what is new (graph first, then bytes),
 * stage, commit. Everything before the commit is invisible and can be repeated.
 */
export async function runSync(running: Running): Promise<SyncResult> {
  const { run, remote, catalog } = running
  const copying = copyingOf(running, { isPlan: false })
  const origin: Origin = { db: running.db, remoteId: remote.id, policy: remote.policy }
  const late = await bringDeferred(copying, run.repositoryId, origin, { isFirst: await isFirstRun(running.db, run) })
  const find = (under: Copying, graph: Graph) => findContent({ ...running, signal: under.signal }, under, graph)
  const { found, brought } =
    remote.policy === 'immediate'
      ? await bringWhileFound(copying, find)
      : { found: await find(copying, emptyGraph()), brought: undefined }
  const counts = await bringBlobs(copying, found.graph.blobs, origin, brought)
  const { change, failures } = settle(run, copying, found)
  // Of what failed nobody knows what belongs to it: then the next run asks again.
  await noteCompanions(running.db, run, found.companionsDue && failures.length === 0)
  const hasContent = change.tags.length + change.members.length + change.signatures.length > 0
  const isNew = hasContent || (run.mode === 'mirror' && run.repositoryId !== nowhere)
  if (isNew) await placeRun(running, run, running.signal)
  const reply = isNew ? await commitRun(running, change) : await nothingNew(catalog, run)
  return {
    ...reply,
    bytesFetched: counts.fetchedBytes + (late?.fetchedBytes ?? 0),
    bytesSaved: counts.savedBytes,
    tagsChecked: found.chosen.tags.length,
    failures: failures.slice(0, mostFailuresShown),
    failureCount: failures.length,
  }
}

/** Finds out what a sync would do. Manifests that are needed for it are read, and nothing is kept. */
export async function planSync(running: Running): Promise<SyncPlan> {
  const { open, made } = countRequests(running.open)
  const copying = copyingOf({ ...running, open }, { isPlan: true })
  const found = await findContent({ ...running, open }, copying, emptyGraph())
  const settled = settle(running.run, copying, found)
  const isMirror = running.run.mode === 'mirror'
  return sumUp(copying, found.graph, { ...settled, now: found.now.tags, isMirror, requests: made() })
}

/** What a run found upstream, compared with what the repository has. */
type Found = {
  chosen: Chosen
  now: RepositoryNow
  graph: Graph
  wanted: Wanted
  companions: FollowedCompanions
  companionsDue: boolean
}

async function findContent(running: Running, copying: Copying, graph: Graph): Promise<Found> {
  const { run, remote, open, catalog, signal } = running
  const now = await readRepository(catalog, run.repositoryId, signal)
  const chosen = await resolveTags(open, now.tags, remote, copying)
  const requirements = await requirementsOf(catalog, remote, run.repositoryId, signal)
  const wanted = await verifyWanted(copying, requirements, await compare(running, copying, graph, { chosen, now }))
  await copyManifests(copying, graph, [...wanted.moved.map((tag) => tag.digest), ...wanted.members])
  noteUnwanted(copying, chosen)
  const companionsDue = await areCompanionsDue(running.db, run, remote)
  const asked = { isDue: companionsDue, isStrict: requirements.length > 0 }
  const companions = await followCompanions(copying, graph, { run, chosen, now, ...asked })
  return { chosen, now, graph, wanted, companions, companionsDue }
}

/** The holder of a run's leases. */
export function holderOf(run: { id: string }): string {
  return `sync:${run.id}`
}

function copyingOf(
  { db, run, remote, open, fence, catalog, blobs, progress, signal }: Running,
  { isPlan }: { isPlan: boolean },
): Copying {
  return {
    remote: open,
    catalog,
    blobs,
    stage: run.id,
    fence,
    holder: holderOf(run),
    concurrency: remote.concurrency,
    platforms: remote.platforms,
    indexes: new Map(),
    proofs: createProofs({ db, catalog }, { remoteId: remote.id, repository: open.repository, target: run }),
    includeForeignLayers: remote.includeForeignLayers,
    failures: createFailures(run.onError === 'skip' ? 'skip' : 'fail'),
    isPlan,
    fetched: { count: 0 },
    progress,
    signal,
  }
}

async function compare(
  { run, remote, open }: Running,
  copying: Copying,
  graph: Graph,
  { chosen, now }: { chosen: Chosen; now: RepositoryNow },
): Promise<Wanted & { below: ReadonlySet<Digest> }> {
  const here = await membersOf(copying, run.repositoryId, chosen.digests)
  const absent = chosen.digests.filter((digest) => !here.has(digest))
  await checkDigests(open, absent, { ...copying, concurrency: remote.concurrency })
  const moved = chosen.tags.filter((tag) => now.tags.get(tag.name) !== tag.digest)
  const unmoved = new Set([
    ...chosen.tags.filter((tag) => now.tags.get(tag.name) === tag.digest).map((tag) => tag.digest),
    ...here,
  ])
  // A mirror has to be told what is left out of every index; elsewhere those that are whole lack nothing.
  const readsAll = run.mode === 'mirror' && remote.platforms.length > 0
  const indexes = [...unmoved].filter((digest) => readsAll || now.sparse.has(digest))
  const absentBelow = await lookInto(copying, graph, run.repositoryId, indexes)
  const missing = new Set([...absentBelow, ...(await foreignDue(copying, run.repositoryId, unmoved))])
  const members = [...absent.filter((digest) => !copying.failures.byDigest.has(digest)), ...missing]
  return { moved, members, below: missing }
}

/** Notes the tags and digests that no platform is wanted of. */
function noteUnwanted(copying: Copying, { tags, digests }: Chosen): void {
  for (const { name, digest } of tags) {
    const why = nothingWanted(digest, copying)
    if (why) copying.failures.note(new Problem(why.status, why.code, `Tag "${name}": ${why.message}.`), { tag: name })
  }
  for (const digest of digests) {
    const why = nothingWanted(digest, copying)
    if (why) copying.failures.note(why, { digest })
  }
}

/** Parts what succeeded from what failed. A tag that failed is left as it is. */
function settle(
  run: PlacedRun,
  { failures }: Copying,
  { chosen, wanted, companions, graph }: Found,
): { change: Change; failures: SyncFailure[] } {
  const failed = failedRoots(failures.byDigest, graph.namedBy)
  const failureOf = ({ name, digest }: ResolvedTag) => failures.byTag.get(name) ?? failed.get(digest)
  const isMirror = run.mode === 'mirror'
  const all = [...chosen.tags, ...companions.tags]
  const tags = (isMirror ? all : [...wanted.moved, ...companions.moved]).filter((tag) => !failureOf(tag))
  const members = [
    ...(isMirror ? [...chosen.digests, ...companions.staying] : []),
    ...wanted.members,
    ...companions.added,
  ]
  const told = tell(all, failures, failureOf)
  const [first] = told
  const good = members.filter((digest) => !failed.has(digest))
  if (first && tags.length + good.length === 0 && all.length + chosen.digests.length <= told.length)
    throw new Problem(502, first.code, `Nothing could be had. ${first.message}`)
  return {
    change: {
      tags,
      members: [...new Set(good)],
      kept: [...companions.kept, ...told.flatMap(({ tag }) => (tag === undefined ? [] : [tag]))],
      signatures: companions.signatures,
    },
    failures: told,
  }
}

/** Each tag that failed, and what failed that no tag explains. */
function tell(
  tags: readonly ResolvedTag[],
  failures: Failures,
  failureOf: (tag: ResolvedTag) => SyncFailure | undefined,
): SyncFailure[] {
  const explained = new Set<SyncFailure>()
  const found = tags.flatMap((tag) => {
    const failure = failureOf(tag)
    if (failure) explained.add(failure)
    return failure ? [{ ...failure, tag: tag.name, digest: tag.digest }] : []
  })
  const others = [...failures.byTag.values(), ...failures.byDigest.values()].filter((one) => !explained.has(one))
  return [...found, ...others]
}
