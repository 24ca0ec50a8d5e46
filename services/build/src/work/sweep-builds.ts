import { type CloudEvent, type Loop, startLoop, type TaskChanged } from '@berth/bus'
import type { CatalogCommands, CommandClient, TaskError, TasksCommands } from '@berth/commands'
import type { Database, Logger, Transaction } from '@berth/service'
import { type Build, buildColumns } from '../builds/build-row.ts'
import { recordFailure } from '../builds/record-build.ts'
import { holderOf, leaseSeconds, letGo } from '../inputs/keep-context.ts'

const sweepEveryMs = 300_000
// A task is queued right after its build is noted; no call to tasks may take longer than ten minutes (BERTH_CALL_TIMEOUT_SECONDS).
const settledMinutes = 15
// As sync runs are: a quarter of a year is for people who look back.
const keptDays = 90
const pageRows = 500

/** Ends the build of a task that ended without its worker: cancelled while it waited, or given up after its workers were lost. */
export async function onTaskEnded(
  deps: Pick<Deps, 'catalog' | 'log'>,
  sql: Transaction,
  event: CloudEvent,
): Promise<'failed' | 'cancelled' | undefined> {
  const { taskId, kind, state, error } = event.data as TaskChanged
  if (kind !== 'build' || (state !== 'failed' && state !== 'cancelled')) return undefined
  const [build] = await sql.query<Build>(
    `select ${buildColumns} from build where task_id = $1 and state in ('waiting', 'running')`,
    [taskId],
  )
  const reason = error ?? { code: state, message: `The task of this build was ${state}.` }
  if (!build || !(await recordFailure(sql, build, state, reason))) return undefined
  // Its task has ended, whether this is committed or not.
  await letGo(deps, build.id)
  return state
}

type Deps = {
  db: Database
  tasks: CommandClient<TasksCommands>
  catalog: CommandClient<CatalogCommands>
  log: Logger
}

/** Ends builds that no worker does any more and forgets old ones, at once and every five minutes. */
export function startBuildSweep(
  { db, tasks, catalog, log }: Deps,
  onEnded: (state: 'failed' | 'cancelled') => void,
): Loop {
  return startLoop({
    pollMs: sweepEveryMs,
    pauseAfterFailureMs: sweepEveryMs,
    onError: (error) => log.warn('old builds will be looked at later', { error }),
    run: async (signal) => {
      await forgetOldBuilds(db, signal)
      await endLostBuilds({ db, tasks, catalog, log }, onEnded, signal)
      await keepContexts({ db, catalog }, signal)
    },
  })
}

const neverQueued: TaskError = {
  code: 'not_queued',
  message: 'The task of this build could not be queued, for the tasks service was away. Start it again.',
}

/** Ends builds whose tasks were never queued, or have ended unheard. */
async function endLostBuilds(
  deps: Deps,
  onEnded: (state: 'failed' | 'cancelled') => void,
  signal: AbortSignal,
): Promise<void> {
  const { db, tasks } = deps
  const builds = await db.query<Build>(
    `select ${buildColumns}
     from build
     where state in ('waiting', 'running')
       and created_at < now() - make_interval(mins => $1)
     order by created_at
     limit ${pageRows}`,
    [settledMinutes],
  )
  if (builds.length === 0) return
  const ids = builds.map(({ taskId }) => taskId)
  const { tasks: found } = await tasks.call('list-task-states', { ids }, { signal })
  const byId = new Map(found.map((task) => [task.id, task]))
  for (const build of builds) {
    const task = byId.get(build.taskId)
    if (task?.state === 'waiting' || task?.state === 'running') continue
    const state = task?.state === 'cancelled' ? 'cancelled' : 'failed'
    const reason = task ? (task.error ?? { code: state, message: `The task of this build was ${state}.` }) : neverQueued
    if (!(await db.transaction((sql) => recordFailure(sql, build, state, reason)))) continue
    await letGo(deps, build.id)
    onEnded(state)
  }
}

/** Keeps the contexts of builds that wait: nobody else renews their leases, and a queue may be long. */
async function keepContexts({ db, catalog }: Pick<Deps, 'db' | 'catalog'>, signal: AbortSignal): Promise<void> {
  const waiting = await db.query<{ id: string }>(
    `select build_id as id
     from build_input
     join build on build.id = build_id
     where context_digest is not null
       and state = 'waiting'`,
  )
  for (const { id } of waiting)
    await catalog.call('renew-leases', { holder: holderOf(id), ttlSeconds: leaseSeconds }, { signal })
}

/** Forgets builds that ended more than 90 days ago, with their logs. */
async function forgetOldBuilds(db: Database, signal: AbortSignal): Promise<void> {
  for (let forgotten = pageRows; forgotten === pageRows; ) {
    signal.throwIfAborted()
    const rows = await db.query(
      `delete from build
       where id in (
         select id
         from build
         where finished_at < now() - make_interval(days => $1)
         limit ${pageRows})
       returning id`,
      [keptDays],
    )
    forgotten = rows.length
  }
}
