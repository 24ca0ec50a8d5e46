import type { CatalogCommands, CommandClient, ManifestSignature } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { ResolvedTag } from '../copy/chosen.ts'
import { inBatches } from '../copy/in-parallel.ts'
import type { PlacedRun } from './placed-run.ts'

/** What a run hands to catalog beside what it staged on its way; `kept` are tags that a mirror leaves as they are. */
export type Change = {
  tags: readonly ResolvedTag[]
  members: readonly Digest[]
  kept: readonly string[]
  signatures: readonly ManifestSignature[]
}
type Committing = {
  run: PlacedRun
  fence: number
  catalog: CommandClient<CatalogCommands>
  signal: AbortSignal
}

const tagsPerStage = 10_000
const membersPerStage = 10_000
// Each has up to 16 KiB, in base64.
const signaturesPerStage = 40
const commitPatienceMs = 300_000

/** Stages the change and commits all that is staged. */
export async function commitRun(
  { run, fence, catalog, signal }: Committing,
  { tags, members, kept, signatures }: Change,
): Promise<CatalogCommands['commit-stage']['reply']> {
  const stage = (more: Partial<CatalogCommands['stage-content']['request']>) =>
    catalog.call('stage-content', { stage: run.id, fence, manifests: [], tags: [], ...more }, { signal })
  for (const some of inBatches(tags, tagsPerStage)) await stage({ tags: some })
  for (const some of inBatches(members, membersPerStage)) await stage({ members: some })
  for (const some of inBatches(kept, tagsPerStage)) await stage({ kept: some })
  for (const some of inBatches(signatures, signaturesPerStage)) await stage({ signatures: some })
  return sendCommit(catalog, run, fence, signal)
}

/** Commits what a run has staged; again gives the same reply. */
export async function sendCommit(
  catalog: CommandClient<CatalogCommands>,
  run: PlacedRun,
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

/** The answer of a run that found nothing new, once what is there is served: its success says that it can be pulled. */
export async function nothingNew(
  catalog: CommandClient<CatalogCommands>,
  run: PlacedRun,
): Promise<CatalogCommands['commit-stage']['reply']> {
  const { version } = await catalog.call('until-served', { repository: run.repositoryId })
  return {
    version,
    created: false,
    tags: { added: [], moved: [], removed: [] },
    tagCounts: { added: 0, moved: 0, removed: 0 },
  }
}
