import type { CatalogCommands, CommandClient, ManifestSignature } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { AuditEntry, Database } from '@berth/service'
import { inBatches } from '../fetch/in-parallel.ts'
import { type Stage, stageContent } from '../fetch/stage-content.ts'
import type { ResolvedTag } from './chosen.ts'
import { nowhere, type PlacedRun } from './placed-run.ts'
import { actorOf } from './record-run.ts'

/** What a run hands to catalog beside what it staged on its way; `kept` are tags, and digests, that a mirror leaves as they are. */
export type Change = {
  tags: readonly ResolvedTag[]
  members: readonly Digest[]
  kept: readonly string[]
  signatures: readonly ManifestSignature[]
}
type Catalog = CommandClient<CatalogCommands>
/** What catalog answers to the commit of a run. */
export type Committed = CatalogCommands['commit-stage']['reply']

const tagsPerStage = 10_000
const membersPerStage = 10_000
// Each has up to 16 KiB, in base64.
const signaturesPerStage = 40
const commitPatienceMs = 300_000

/** Makes the run's repository, with a distribution, if it has none yet; `ownerId` owns what is made. */
export async function placeRun(
  { db, catalog }: { db: Database; catalog: Catalog },
  run: PlacedRun,
  ownerId: string | null,
  signal: AbortSignal,
): Promise<void> {
  if (run.repositoryId !== nowhere) return
  const request = { name: run.repositoryName, actor: actorOf(run), ownerId }
  const { repository } = await catalog.call('ensure-repository', request, { signal, audit: auditOf(run) })
  // Noted before anything is committed there, so that a worker that begins the run again goes on in the same place.
  await db.query('update sync_run set repository_id = $2 where id = $1', [run.id, repository.id])
  run.repositoryId = repository.id
}

/** Stages the change and commits all that is staged. */
export async function commitRun(
  stage: Stage,
  run: PlacedRun,
  { tags, members, kept, signatures }: Change,
  signal: AbortSignal,
): Promise<Committed> {
  for (const some of inBatches(tags, tagsPerStage)) await stageContent(stage, { tags: some }, signal)
  for (const some of inBatches(members, membersPerStage)) await stageContent(stage, { members: some }, signal)
  for (const some of inBatches(kept, tagsPerStage)) await stageContent(stage, { kept: some }, signal)
  for (const some of inBatches(signatures, signaturesPerStage)) await stageContent(stage, { signatures: some }, signal)
  return sendCommit(stage, run, signal)
}

/** What the audit trail is told of the changes of a run. */
function auditOf(run: PlacedRun): AuditEntry {
  const id = run.repositoryId === nowhere ? null : run.repositoryId
  return {
    action: 'sync',
    actor: actorOf(run),
    object: { kind: 'repository', id, name: run.repositoryName },
    // Who sees the repository is not told by this which remotes there are.
    detail: null,
    address: null,
    requestId: run.taskId,
  }
}

/** Commits what a run has staged; again gives the same reply. */
export async function sendCommit(
  { catalog, id, fence }: Stage,
  run: PlacedRun,
  signal?: AbortSignal,
): Promise<Committed> {
  const request = {
    repositoryId: run.repositoryId,
    stage: id,
    fence,
    cause: 'sync' as const,
    actor: actorOf(run),
    taskId: run.taskId,
    mode: run.mode === 'mirror' ? ('mirror' as const) : ('additive' as const),
    force: run.force,
  }
  const audit = auditOf(run)
  return catalog.call('commit-stage', request, { timeoutMs: commitPatienceMs, audit, ...(signal ? { signal } : {}) })
}

/** The answer of a run that found nothing new, once what is there is served: its success says that it can be pulled. */
export async function answerUnchanged(catalog: Catalog, run: PlacedRun): Promise<Committed> {
  const { version } = await catalog.call('await-served', { repository: run.repositoryId })
  return {
    version,
    created: false,
    tags: { added: [], moved: [], removed: [] },
    tagCounts: { added: 0, moved: 0, removed: 0 },
  }
}
