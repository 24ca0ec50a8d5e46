import type { AuthCommands, CommandClient } from '@berth/commands'
import type { Work } from '@berth/worker'
import { careRights } from '../care-rights.ts'
import type { CollectResult } from './collect.ts'
import { type CollectorDeps, carryOutRun } from './collector.ts'
import { planCollection } from './plan.ts'
import { beginRun } from './runs.ts'

/** Counts what runs of the collector removed. */
export type CollectCounts = {
  collected(run: Pick<CollectResult, 'removed' | 'removedBytes' | 'orphans' | 'orphanBytes'>): void
}

export type GcPayload = { dryRun: boolean; graceSeconds: number }

/** Does the tasks of kind `gc`: a run of the collector, or its plan. */
export function createGcWork(deps: CollectorDeps & { auth: CommandClient<AuthCommands>; counts: CollectCounts }): Work {
  return async (task, { signal, report, note }) => {
    const { dryRun, graceSeconds } = task.payload as GcPayload
    const cause = task.actor.id === null ? 'interval' : 'request'
    const mayRemove = careRights(deps.auth, task)
    await mayRemove(signal)
    if (dryRun) return { state: 'completed', result: await planCollection(deps.db, graceSeconds) }
    const run = await beginRun(deps.db, { cause, taskId: task.id, graceSeconds })
    let seen: CollectResult | undefined
    report(() => [
      { phase: 'remove', done: seen?.removed ?? 0, total: null, unit: 'objects' },
      { phase: 'remove', done: seen?.removedBytes ?? 0, total: null, unit: 'bytes' },
    ])
    const onProgress = (result: CollectResult) => {
      seen = result
    }
    note(`run ${run.id} removes what nothing has needed for ${graceSeconds} seconds`)
    const onFailure = (error: unknown) =>
      note('something could not be collected now', {
        level: 'warn',
        detail: error instanceof Error ? error.message : String(error),
      })
    const removed = await carryOutRun(deps, run, { graceSeconds, signal, onProgress, onFailure, mayRemove })
    deps.counts.collected(removed)
    note(
      `${removed.removed} objects of ${removed.removedBytes} bytes were removed, and ${removed.orphans} that no row knew`,
    )
    return { state: 'completed', result: { runId: run.id, ...removed } }
  }
}
