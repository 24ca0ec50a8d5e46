import type { RequiredSignatures } from '@berth/commands'
import type { Database, Principal } from '@berth/service'
import type { Contents } from '../archives/brought.ts'
import type { ServedGate } from '../served/wait-until-served.ts'
import { clearStage } from '../stages/stage-content.ts'
import type { Plan, PlannedRepository } from './plan.ts'
import type { StoreDeps, Tally } from './store-blobs.ts'

export type Applying = {
  db: Database
  gate: ServedGate
  store: StoreDeps
  contents: Contents
  plan: Plan
  map: Readonly<Record<string, string>>
  task: { id: string; fence: number; actor: { id: string | null; name: string } }
  ownerId: string | null
  /** Who started it, with the rights of now. */
  caller: () => Promise<Principal>
  /** By where it goes: the signatures that were required when they were looked for. */
  signedFor: Map<string, RequiredSignatures>
  tally: Tally
  onRepository: (name: string) => void
  signal: AbortSignal
}
/** The stage of a repository in one task of an import: an attempt that goes on finds it again. */
export function stageOf(taskId: string, { target }: Pick<PlannedRepository, 'target'>): string {
  return `import:${taskId}:${target}`
}

/** Ends the stages of a task that did not come to its end: what was committed stays. */
export async function closeStages(db: Database, taskId: string): Promise<void> {
  const rows = await db.query<{ id: string }>(
    `update stage
     set state = 'closed', touched_at = now()
     where starts_with(id, $1)
       and state = 'open'
     returning id`,
    [`import:${taskId}:`],
  )
  for (const { id } of rows) await clearStage(db, id)
}

/** Where an attempt before this one has put what was for there. */
export async function committedTargets(db: Database, taskId: string): Promise<Set<string>> {
  const beginning = stageOf(taskId, { target: '' })
  const rows = await db.query<{ id: string }>(
    `select id from stage where starts_with(id, $1) and state = 'committed'`,
    [beginning],
  )
  return new Set(rows.map(({ id }) => id.slice(beginning.length)))
}

/** Whether an attempt that was ended behind its commit has made the version of a stage. */
export async function isCommitted(db: Database, stage: string): Promise<boolean> {
  return (await db.query(`select from stage where id = $1 and state = 'committed'`, [stage])).length > 0
}

/** What is to be proven of what was staged. */
export function provingOf({ store, task }: Applying, planned: PlannedRepository, repositoryId: string | null) {
  const { name, origin } = planned
  return { importId: store.importId, stage: stageOf(task.id, planned), name, repositoryId, origin }
}
