import { type Loop, startLoop } from '@berth/bus'
import type { CommandClient, TaskError, TasksCommands } from '@berth/commands'
import type { Database, Logger } from '@berth/service'
import { endRun, type RunIds } from '../steps/record-run.ts'

const sweepEveryMs = 300_000
// A task is queued right after its run is noted; no call to tasks may take longer than ten minutes (BERTH_CALL_TIMEOUT_SECONDS).
const settledMinutes = 15
// Longer than tasks are kept that have ended: a quarter of a year is for people who look back.
const keptDays = 90
const pageRows = 500

type Deps = { db: Database; tasks: CommandClient<TasksCommands> }
type Hooks = { onEnded: (state: 'failed' | 'cancelled') => void; signal: AbortSignal }
type Unended = RunIds & { parentTask: string | null; createdAt: string }
type TaskEnd = { state: string; error: TaskError | null }

/** Ends runs that no worker does any more and forgets old ones, at once and every five minutes. */
export function startRunSweep({ log, onEnded, ...deps }: Deps & Pick<Hooks, 'onEnded'> & { log: Logger }): Loop {
  return startLoop({
    pollMs: sweepEveryMs,
    pauseAfterFailureMs: sweepEveryMs,
    onError: (error) => log.warn('old sync runs will be looked at later', { error }),
    run: async (signal) => {
      await forgetOldRuns(deps.db, signal)
      await endLostRuns(deps, { onEnded, signal })
    },
  })
}

/**
 * Ends runs whose tasks were never queued, because tasks was away just then, or have ended unheard. A run of a group whose task
 * goes on is left alone: the group queues it again.
 */
export async function endLostRuns({ db, tasks }: Deps, { onEnded, signal }: Hooks): Promise<void> {
  for (let after: Pick<Unended, 'createdAt' | 'id'> | undefined; ; ) {
    const runs: Unended[] = await readUnended(db, after)
    after = runs.at(-1)
    if (!after) return
    const ids = runs.flatMap(({ taskId, parentTask }) => (parentTask ? [taskId, parentTask] : [taskId]))
    const { tasks: found } = await tasks.call('list-task-states', { ids: [...new Set(ids)] }, { signal })
    const byId = new Map(found.map((task) => [task.id, task]))
    for (const run of runs) {
      const task = byId.get(run.taskId)
      const parent = byId.get(run.parentTask ?? '')
      if (isUnderWay(task) || (!task && isUnderWay(parent))) continue
      const state = task?.state === 'cancelled' ? 'cancelled' : 'failed'
      const reason = task ? unheard(task) : neverQueued
      if (await db.transaction((sql) => endRun(sql, run, state, reason))) onEnded(state)
    }
  }
}

const neverQueued: TaskError = {
  code: 'not_queued',
  message: 'The task of this sync could not be queued, for the tasks service was away. Start it again.',
}

function unheard({ state, error }: TaskEnd): TaskError {
  return error ?? { code: state, message: `The task of this sync was ${state}.` }
}

function isUnderWay(task: TaskEnd | undefined): boolean {
  return task?.state === 'waiting' || task?.state === 'running'
}

function readUnended(db: Database, after: Pick<Unended, 'createdAt' | 'id'> | undefined): Promise<Unended[]> {
  // The time as text: a Date would lose its microseconds, and the row would come again.
  return db.query<Unended>(
    `select id, task_id as "taskId", parent_task as "parentTask", remote_id as "remoteId", remote_name as "remoteName",
       repository_id as "repositoryId", repository_name as "repositoryName", actor, actor_id as "actorId", dry_run as "dryRun",
       created_at::text as "createdAt"
     from sync_run
     where state in ('waiting', 'running')
       and created_at < now() - make_interval(mins => $1)
       and ($2::timestamptz is null or (created_at, id) > ($2, $3::uuid))
     order by created_at, id
     limit ${pageRows}`,
    [settledMinutes, after?.createdAt ?? null, after?.id ?? null],
  )
}

const deleteOld = `
  delete from sync_run
  where id in (
    select id
    from sync_run as run
    where created_at < now() - make_interval(days => $1)
      and finished_at < now() - make_interval(days => $1)
      and not (
        state = 'completed'
        and not dry_run
        and exists (select from remote where remote.id = run.remote_id)
        and not exists (
          select
          from sync_run as later
          where later.state = 'completed'
            and not later.dry_run
            and later.remote_id = run.remote_id
            and later.repository_id is not distinct from run.repository_id
            and later.upstream_name is not distinct from run.upstream_name
            and (later.finished_at, later.id) > (run.finished_at, run.id)))
    limit ${pageRows})
  returning id`

/**
 * Forgets runs that ended more than 90 days ago. The last that went well of each remote, upstream repository and repository stays
 * while the remote does: it tells that this is no first run, where lost bytes came from, and when the last success was.
 */
export async function forgetOldRuns(db: Database, signal: AbortSignal): Promise<void> {
  for (let forgotten = pageRows; forgotten === pageRows; ) {
    signal.throwIfAborted()
    const rows = await db.query(deleteOld, [keptDays])
    forgotten = rows.length
  }
}
