import { isDeepStrictEqual } from 'node:util'
import type { ServedDistribution } from '@berth/commands'
import { type AuditEntry, type Principal, Problem, type Transaction, withAudit } from '@berth/service'
import { withinQuota } from '../namespaces/quota.ts'
import { commitStageIn, type StageCommit } from '../stages/commit-stage.ts'
import { type Applying, provingOf, stageOf } from './applying.ts'
import { type Placed, type Placing, placeDistributions, placeRepository } from './place-repository.ts'
import type { PlannedRepository } from './plan.ts'
import { chooseHint, notToBeMade } from './refuse-conflicts.ts'
import { requireProven } from './require-proven.ts'
import { requiredOf } from './require-signed.ts'
import { findConflict, recordOrigin } from './target-state.ts'
import { lackingForDistribution, lackingVerb, mapName, refuseLacking } from './targets.ts'

export type ImportedRepository = { name: string; repository: string; version: number; created: boolean }

/** Makes one version of what was staged, and the repository with it where there is none. Answers once it is served. */
export async function commitRepository(applying: Applying, planned: PlannedRepository): Promise<ImportedRepository> {
  const { db, gate, task } = applying
  const { name, target, origin } = planned
  const caller = await applying.caller()
  const audit: AuditEntry = {
    action: 'import',
    actor: task.actor,
    object: { kind: 'repository', id: planned.repository?.id ?? null, name: target },
    detail: origin ? `version ${origin.exported.version.number} of ${name}` : name,
    address: null,
    requestId: task.id,
  }
  return withAudit(audit, async () => {
    const { id, reply, revision, made } = await withinQuota(db, () =>
      db.background.transaction((sql) => commitWithin(sql, applying, planned, caller)),
    )
    await gate.repository(id, revision, reply.version)
    for (const one of made) await gate.distribution(one)
    return { name, repository: target, version: reply.version, created: reply.created }
  })
}

type Committed = StageCommit & { id: string; made: ServedDistribution[] }

/** Repository, version and distributions come together or not at all: what ends the commit leaves no empty repository behind. */
async function commitWithin(
  sql: Transaction,
  applying: Applying,
  planned: PlannedRepository,
  caller: Principal,
): Promise<Committed> {
  const { task } = applying
  const { target, origin, action, contentHash } = planned
  const placing = placingOf(applying, planned)
  const placed = await placeRepository(sql, placing)
  const { id } = placed
  let made: ServedDistribution[] = []
  const request = {
    repositoryId: id,
    stage: stageOf(task.id, planned),
    fence: task.fence,
    cause: 'import' as const,
    actor: task.actor,
    taskId: task.id,
    mode: action === 'merge' ? ('additive' as const) : ('mirror' as const),
    force: true,
  }
  const committed = await commitStageIn(sql, request, {
    // All that may have changed since it was planned is asked again under the lock: rights, settings, what the target had.
    guard: async (_sql, head) => {
      requireRights(caller, planned, placing, placed)
      await requireLookedFor(sql, applying, { id, target })
      await requireProven(sql, provingOf(applying, planned, id))
      if (action === 'replace' || action === 'merge') return
      const conflict = await findConflict(sql, { name: target, head, origin, contentHash })
      if (conflict) throw new Problem(409, conflict.code, `${conflict.message}.`, { hint: chooseHint(target) })
    },
    record: async (_sql, version) => {
      // What was merged is no version of theirs.
      if (origin && action !== 'merge') await recordOrigin(sql, { repositoryId: id, version }, origin)
      made = await placeDistributions(sql, { id, version }, placing)
    },
  })
  return { ...committed, id, made }
}

/** Throws where other signatures are required than were looked for. */
async function requireLookedFor(
  sql: Transaction,
  { signedFor }: Applying,
  { id, target }: { id: string; target: string },
): Promise<void> {
  const required = await requiredOf(sql, id)
  if (required === null || isDeepStrictEqual(required, signedFor.get(target))) return
  throw new Problem(409, 'signatures_required', `"${target}" requires other signatures since this import began.`, {
    hint: 'Start it again: it looks for these, and reads nothing twice.',
  })
}

/** Throws 403 where whoever started an import may not put a repository here any more, or serve it so. */
function requireRights(
  caller: Principal,
  { name, target }: PlannedRepository,
  { distributions }: Placing,
  { id, ownerId, isNew }: Placed,
): void {
  const now = { name, target, repository: isNew ? null : { id, ownerId, latestVersion: 0 } }
  refuseLacking(lackingVerb(caller.rights, now), target, caller.name)
  for (const one of distributions)
    if (lackingForDistribution(caller.rights, one, now) !== undefined) throw notToBeMade(one.basePath)
}

function placingOf(
  { contents, plan, map, task, ownerId }: Applying,
  { name, target, origin }: PlannedRepository,
): Placing {
  const wanted = new Set(plan.distributions.filter(({ action }) => action === 'create').map(({ basePath }) => basePath))
  const distributions = contents.distributions
    .filter(({ repository }) => repository === name)
    .map((one) => ({ ...one, basePath: mapName(map, one.basePath) }))
    .filter(({ basePath }) => wanted.has(basePath))
  return { target, exported: origin?.exported ?? null, distributions, actor: task.actor, ownerId }
}
