import type { Note } from '@berth/worker'
import { type Fetched, fetchByPolicy, type Origin } from '../fetch/fetch-by-policy.ts'
import { fetchDeferred } from '../fetch/fetch-deferred.ts'
import { createGraph, type Graph } from '../fetch/graph.ts'
import { isMirror } from './chosen.ts'
import { answerUnchanged, type Committed, commitRun, placeRun } from './commit-run.ts'
import { isFirstRun, noteCompanions } from './earlier-runs.ts'
import { fetchWhileFound } from './fetch-while-found.ts'
import { type Found, findContent, type RunDeps, unknownOf } from './find-content.ts'
import { gatherChange } from './gather-change.ts'
import { nowhere } from './placed-run.ts'
import type { SyncResult } from './results.ts'

const mostFailuresShown = 1_000

/**
 * One sync, from the list of tags to the committed version: what is new is found (graph first, then bytes), fetched, staged and
 * committed. Everything before the commit is invisible and can be repeated.
 */
export async function runSync(deps: RunDeps, signal: AbortSignal): Promise<SyncResult> {
  const { db, run, remote, catalog, stage, note } = deps
  const origin: Origin = { db, remoteId: remote.id, policy: remote.policy }
  const isFirst = await isFirstRun(db, run)
  const late = await fetchDeferred(deps, run.repositoryId, origin, { isFirst }, signal)
  const { found, fetched } = await findAndFetch(deps, signal)
  noteFound(note, found)
  const counts = await fetchByPolicy(deps, found.graph.blobs, origin, signal, fetched)
  note(`${counts.fetchedBytes} bytes were fetched, and ${counts.savedBytes} were here already`)
  const { change, failures } = gatherChange(deps, found)
  for (const { tag, code, message } of failures)
    if (tag !== undefined && !deps.report.failures.byTag.has(tag))
      note(`tag ${tag} is skipped: ${code}`, { level: 'warn', detail: message })
  // It is not known what belongs to what failed: then the next run asks again.
  const isAllKnown = failures.length === 0 && found.companions.unknown.size === 0
  await noteCompanions(db, run, found.companionsDue && isAllKnown)
  const hasContent = change.tags.length + change.members.length + change.signatures.length > 0
  const mirrors = isMirror(run, found.chosen)
  const isNew = hasContent || (mirrors && run.repositoryId !== nowhere)
  // Asked again: what is committed is decided by the rights of this moment.
  if (isNew) await placeRun(deps, run, await deps.requireRights(signal), signal)
  const reply = isNew
    ? await commitRun(stage, { ...run, mode: mirrors ? 'mirror' : 'additive' }, change, signal)
    : await answerUnchanged(catalog, run)
  noteReply(note, reply)
  return {
    ...reply,
    bytesFetched: counts.fetchedBytes + (late?.fetchedBytes ?? 0),
    bytesSaved: counts.savedBytes,
    tagsChecked: found.chosen.tags.length,
    ...unknownOf(found),
    failures: failures.slice(0, mostFailuresShown),
    failureCount: failures.length,
  }
}

function noteFound(note: Note, { chosen, wanted, graph }: Found): void {
  note(`${chosen.tags.length} tags are wanted, ${wanted.moved.length} of them new or moved`)
  if (chosen.skippedNames.length > 0) {
    const detail = chosen.skippedNames.join(', ')
    note(`${chosen.skippedNames.length} names that upstream lists are no tags, and skipped`, { level: 'warn', detail })
  }
  if (!chosen.isListComplete) note('the list of upstream may have had more, and nothing is removed', { level: 'warn' })
  note(`${graph.blobs.size} blobs belong to what is new`)
}

function noteReply(note: Note, { created, version, tagCounts }: Committed): void {
  if (!created) return note(`nothing has changed: version ${version} stays the latest`)
  const { added, moved, removed } = tagCounts
  note(`version ${version} is served: ${added} tags added, ${moved} moved, ${removed} removed`)
}

/** Finds what is to be synced. Where all blobs are wanted, they are fetched meanwhile. */
async function findAndFetch(
  deps: RunDeps,
  signal: AbortSignal,
): Promise<{ found: Found; fetched: Fetched | undefined }> {
  if (deps.remote.policy !== 'immediate')
    return { found: await findContent(deps, createGraph(), signal), fetched: undefined }
  return fetchWhileFound(deps, (graph: Graph, both) => findContent(deps, graph, both), signal)
}
