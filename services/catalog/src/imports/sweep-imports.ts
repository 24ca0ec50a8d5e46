import { type Loop, startLoop } from '@berth/bus'
import type { CommandClient, TaskError, TasksCommands } from '@berth/commands'
import type { Database, Logger } from '@berth/service'
import { releaseLeases } from '../leases/leases.ts'
import { closeStages } from './applying.ts'
import { recordImportFailure } from './end-import.ts'
import { holderOf, idleSeconds } from './import-row.ts'

type Deps = { db: Database; tasks: CommandClient<TasksCommands>; log: Logger }

const sweepEveryMs = 60_000
// A task is queued right after its import says so; no call to tasks may take longer than ten minutes (BERTH_CALL_TIMEOUT_SECONDS).
const neverQueuedMinutes = 15
// As sync runs are: a quarter of a year is for people who look back.
const keptDays = 90
const pageRows = 100

/** Ends imports that no worker does any more, and forgets those that were given up, at once and every minute. */
export function startImportSweep(deps: Deps): Loop {
  return startLoop({
    pollMs: sweepEveryMs,
    pauseAfterFailureMs: sweepEveryMs,
    onError: (error) => deps.log.warn('old imports will be looked at later', { error }),
    run: async (signal) => {
      await endLostImports(deps, signal)
      await forgetIdle(deps.db, signal)
    },
  })
}

type Running = { id: string; taskId: string; createdBy: string; createdById: string | null; isOld: boolean }

/** Ends the tasks of imports that ended without their worker: cancelled while they waited, or given up after their workers were lost. */
export async function endLostImports({ db, tasks }: Deps, signal: AbortSignal): Promise<void> {
  const running = await db.query<Running>(
    `select id, task_id as "taskId", created_by as "createdBy", created_by_id as "createdById",
       touched_at < now() - make_interval(mins => $1) as "isOld"
     from import_job
     where state = 'running'
     order by created_at
     limit ${pageRows}`,
    [neverQueuedMinutes],
  )
  if (running.length === 0) return
  const ids = running.map(({ taskId }) => taskId)
  const { tasks: found } = await tasks.call('list-task-states', { ids }, { signal })
  const byId = new Map(found.map((task) => [task.id, task]))
  for (const { id: importId, taskId, createdBy: name, createdById, isOld } of running) {
    const task = byId.get(taskId)
    if (task ? task.state === 'waiting' || task.state === 'running' : !isOld) continue
    const error: TaskError = task
      ? (task.error ?? { code: task.state, message: `The task of this import was ${task.state}.` })
      : { code: 'not_queued', message: 'The task of this import could not be queued. Start it again.' }
    await closeStages(db, taskId)
    const actor = { id: createdById, name }
    await db.transaction((sql) => recordImportFailure(sql, { importId, taskId, actor }, error))
  }
}

/** Lets go of what was uploaded for imports that nobody has done anything with, and forgets those that came to nothing. */
export async function forgetIdle(db: Database, signal: AbortSignal): Promise<void> {
  for (let forgotten = pageRows; forgotten === pageRows; ) {
    signal.throwIfAborted()
    const idle = await db.query<{ id: string }>(
      `select id
       from import_job
       where state <> 'running'
         and touched_at < now() - make_interval(secs => $1)
         and (
           state <> 'completed'
           or exists (select from import_piece where import_id = import_job.id)
           or exists (select from import_verified where import_id = import_job.id))
       limit ${pageRows}`,
      [idleSeconds],
    )
    for (const { id } of idle) await forgetImport(db, id, { keepsRow: true })
    forgotten = idle.length
  }
  await db.query(
    `delete from import_job
     where state = 'completed'
       and finished_at < now() - make_interval(days => $1)`,
    [keptDays],
  )
}

/** Lets go of what an import holds. Its row stays where it tells of content that came by it and that is wanted. */
export async function forgetImport(db: Database, id: string, { keepsRow }: { keepsRow: boolean }): Promise<void> {
  await releaseLeases(db, holderOf(id))
  await db.transaction(async (sql) => {
    const gone = await sql.query(
      `delete from import_job where id = $1 and state <> 'running' and (not $2 or state <> 'completed') returning id`,
      [id, keepsRow],
    )
    if (gone.length > 0) return
    await sql.query('delete from import_piece where import_id = $1', [id])
    await sql.query('delete from import_verified where import_id = $1', [id])
  })
}
