import type { CommandClient, TaskError, TasksCommands } from '@berth/commands'
import type { Database, Logger } from '@berth/service'
import { letGo, recordFailure } from './change-export.ts'
import { type Export, exportColumns } from './export-row.ts'
import { discardPlace, type ExportDeps } from './export-work.ts'

type Deps = {
  db: Database
  tasks: CommandClient<TasksCommands>
  targetOf: ExportDeps['targetOf']
  counts: ExportDeps['counts']
  log: Logger
}

// As what was served: a delta says what came since then.
const rememberedDays = 400
// A task is queued right after its export is noted; no call to tasks may take longer than ten minutes (BERTH_CALL_TIMEOUT_SECONDS).
const settledMinutes = 15
// Who began to read a download at the last moment comes to an end: its leases go on for so long (`leaseSeconds`).
const readingMinutes = 60
const pageRows = 500

const neverQueued: TaskError = {
  code: 'not_queued',
  message: 'The task of this export could not be queued, for the tasks service was away. Ask for it again.',
}

/** Ends exports that no worker does any more, lets go of downloads whose time is over, and forgets what is long ago. */
export async function sweepExports(deps: Deps, signal: AbortSignal): Promise<void> {
  await letDownloadsGo(deps, signal)
  await endLostExports(deps, signal)
  await forgetExports(deps, signal)
}

async function letDownloadsGo({ db }: Deps, signal: AbortSignal): Promise<void> {
  const over = await db.query<{ id: string }>(
    `select id
     from export
     where kept_until < now() - make_interval(mins => ${readingMinutes})
     order by kept_until
     limit ${pageRows}`,
  )
  for (const { id } of over) {
    signal.throwIfAborted()
    await db.transaction((sql) => letGo(sql, id))
  }
}

async function endLostExports(deps: Deps, signal: AbortSignal): Promise<void> {
  const { db, tasks } = deps
  type Open = Export & { isSettled: boolean }
  const open = await db.query<Open>(
    `select ${exportColumns}, created_at < now() - make_interval(mins => $1) as "isSettled"
     from export
     where state in ('waiting', 'running')
     order by created_at
     limit ${pageRows}`,
    [settledMinutes],
  )
  if (open.length === 0) return
  const { tasks: found } = await tasks.call('list-task-states', { ids: open.map(({ taskId }) => taskId) }, { signal })
  const byId = new Map(found.map((task) => [task.id, task]))
  for (const row of open) {
    const task = byId.get(row.taskId)
    if (task?.state === 'waiting' || task?.state === 'running' || (!task && !row.isSettled)) continue
    const state = task?.state === 'cancelled' ? 'cancelled' : 'failed'
    const reason = task
      ? (task.error ?? { code: state, message: `The task of this export was ${state}.` })
      : neverQueued
    // What its worker left when it was killed.
    await discardPlace(deps, row.id)
    if (await recordFailure(db, row.id, state, reason)) deps.counts.ended(state)
  }
}

async function forgetExports({ db }: Deps, signal: AbortSignal): Promise<void> {
  for (let forgotten = pageRows; forgotten === pageRows; ) {
    signal.throwIfAborted()
    const rows = await db.query(
      `delete from export
       where id in (
         select id
         from export
         where finished_at < now() - make_interval(days => $1)
           and kept_until is null
         limit ${pageRows})
       returning id`,
      [rememberedDays],
    )
    forgotten = rows.length
  }
}
