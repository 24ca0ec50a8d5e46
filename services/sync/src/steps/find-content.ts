import type { Digest } from '@berth/oci'
import type { Database } from '@berth/service'
import type { Note } from '@berth/worker'
import type { Remote } from '../db/generated/client.ts'
import type { FetchDeps } from '../fetch/deps.ts'
import { fetchGraph } from '../fetch/fetch-graph.ts'
import type { Graph } from '../fetch/graph.ts'
import { noteUnwanted } from '../fetch/note-unwanted.ts'
import { type Chosen, isMirror } from './chosen.ts'
import { areCompanionsDue } from './earlier-runs.ts'
import { findAbsentBelow } from './find-absent-below.ts'
import { findForeignDue } from './find-foreign-due.ts'
import { type FollowedCompanions, followCompanions } from './follow-companions.ts'
import type { PlacedRun } from './placed-run.ts'
import { type RepositoryNow, readMembers, readRepository } from './read-repository.ts'
import { checkDigests, resolveTags } from './resolve-tags.ts'
import type { Unknown } from './results.ts'
import { verifyWanted, type Wanted } from './verify-wanted.ts'

/** What a run works with: its row, its remote, and what its steps need. */
export type RunDeps = FetchDeps & {
  db: Database
  run: PlacedRun
  remote: Remote
  /** Throws unless who started the run may still do it; answers who owns what it makes. */
  requireRights: (signal: AbortSignal) => Promise<string | null>
  /** Tells the log of the task. */
  note: Note
}

/** What a run found upstream, compared with what the repository has. */
export type Found = {
  chosen: Chosen
  now: RepositoryNow
  graph: Graph
  wanted: Wanted
  companions: FollowedCompanions
  companionsDue: boolean
}

/** What of this upstream did not let be known. */
export function unknownOf({ chosen, companions }: Found): Unknown {
  const { isListComplete, skippedNames } = chosen
  return { listComplete: isListComplete, skippedNames, companionsUnknown: companions.unknown.size }
}

/** Compares what upstream has with what the repository has, and fetches the manifests that are new with all that is below them. */
export async function findContent(deps: RunDeps, graph: Graph, signal: AbortSignal): Promise<Found> {
  const { db, run, remote, catalog } = deps
  const now = await readRepository(catalog, run.repositoryId, signal)
  const chosen = await resolveTags(deps, now.tags, { ...remote, onlyTags: run.onlyTags }, signal)
  const compared = await compare(deps, graph, { chosen, now }, signal)
  const { wanted, isStrict } = await verifyWanted(deps, { remote, repository: run.repositoryId }, compared, signal)
  await fetchGraph(deps, graph, [...wanted.moved.map((tag) => tag.digest), ...wanted.members], signal)
  noteUnwanted(deps, graph.indexes, chosen)
  const companionsDue = await areCompanionsDue(db, run, remote)
  const synced = { run, chosen, now, isDue: companionsDue, isStrict }
  const companions = await followCompanions(deps, graph, synced, signal)
  return { chosen, now, graph, wanted, companions, companionsDue }
}

async function compare(
  deps: RunDeps,
  graph: Graph,
  { chosen, now }: { chosen: Chosen; now: RepositoryNow },
  signal: AbortSignal,
): Promise<Wanted & { below: ReadonlySet<Digest> }> {
  const { run, catalog, options, report } = deps
  const here = await readMembers(catalog, run.repositoryId, chosen.digests, signal)
  const absent = chosen.digests.filter((digest) => !here.has(digest))
  await checkDigests(deps, absent, signal)
  const moved = chosen.tags.filter((tag) => now.tags.get(tag.name) !== tag.digest)
  const unmoved = new Set([
    ...chosen.tags.filter((tag) => now.tags.get(tag.name) === tag.digest).map((tag) => tag.digest),
    ...here,
  ])
  // A mirror has to be told what is left out of every index; elsewhere those that are whole lack nothing.
  const readsAll = isMirror(run, chosen) && options.platforms.length > 0
  const indexes = [...unmoved].filter((digest) => readsAll || now.sparse.has(digest))
  const missing = new Set([
    ...(await findAbsentBelow(deps, graph, run.repositoryId, indexes, signal)),
    ...(await findForeignDue(deps, run.repositoryId, unmoved, signal)),
  ])
  const members = [...absent.filter((digest) => !report.failures.byDigest.has(digest)), ...missing]
  return { moved, members, below: missing }
}
