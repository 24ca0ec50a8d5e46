import { type Database, isPassing, type Logger, Problem } from '@berth/service'
import { pauseSchedule } from './change-schedules.ts'
import { callOperation, type Owners } from './kinds.ts'

type Deps = { db: Database; owners: Owners; log: Logger }
type Starting = {
  id: string
  scheduleId: string
  name: string
  kind: string
  parameters: Record<string, unknown>
  runAsId: string | null
  task: string
  tries: number
}

/** How long a start may take before another replica takes it for lost. Retention does its work before it answers. */
const startsWithinSeconds = 600
const firstPauseSeconds = 2
const atOnce = 8
const mostTries = 10

const claimStarting = `
  with taken as (
    select run.id
    from schedule_run as run
    where run.state = 'starting'
      and run.try_at <= now()
    order by run.try_at
    limit 1
    for update skip locked)
  update schedule_run as run
  set try_at = now() + make_interval(secs => $1), tries = tries + 1
  from taken, schedule
  where run.id = taken.id
    and schedule.id = run.schedule_id
  returning run.id, run.schedule_id as "scheduleId", schedule.name, schedule.kind, schedule.parameters,
    schedule.run_as_id as "runAsId", run.task, run.tries`

/**
 * Starts what is to be started, some at a time, so that one that takes long holds up no other. The task of a run has its id beforehand: a
 * start that was not heard of is the same one again. `onStarted` is called after each.
 */
export function createStarter(deps: Deps, onStarted: () => void): { start(): Promise<void>; stop(): Promise<void> } {
  const stopping = new AbortController()
  const starting = new Set<Promise<void>>()
  return {
    start: async () => {
      while (starting.size < atOnce && !stopping.signal.aborted) {
        const [run] = await deps.db.query<Starting>(claimStarting, [startsWithinSeconds])
        if (!run) return
        const started = startRun(deps, run, stopping.signal)
          .catch((error: unknown) => deps.log.warn('a schedule is tried again later', { schedule: run.name, error }))
          .finally(() => {
            starting.delete(started)
            onStarted()
          })
        starting.add(started)
      }
    },
    stop: async () => {
      stopping.abort()
      await Promise.all(starting)
    },
  }
}

async function startRun(deps: Deps, run: Starting, signal: AbortSignal): Promise<void> {
  const { db, owners, log } = deps
  const { kind, parameters, runAsId: accountId, task: taskId } = run
  try {
    const { status } = await callOperation(owners, { kind, parameters, accountId, taskId }, { signal })
    // What is accepted is a task; anything else is done.
    const state = status === 202 ? 'running' : 'completed'
    await db.query(
      `update schedule_run
       set state = $2, has_task = $2 = 'running', finished_at = case when $2 = 'completed' then now() end
       where id = $1 and state = 'starting'`,
      [run.id, state],
    )
  } catch (error) {
    signal.throwIfAborted()
    if (isPassing(error) && run.tries < mostTries) {
      await db.query('update schedule_run set try_at = now() + make_interval(secs => $2) where id = $1', [
        run.id,
        firstPauseSeconds * 2 ** (run.tries - 1),
      ])
      return
    }
    await noteFailure(deps, run, error)
    log.warn('a schedule could not be carried out', { schedule: run.name, error })
  }
}

// The account lacks the right or is gone, or what it was for is gone: the next time would end as this one did.
const lasting = new Set([403, 404, 422])

async function noteFailure({ db }: Deps, run: Starting, error: unknown): Promise<void> {
  const { code, message, status } =
    error instanceof Problem
      ? error
      : { code: 'internal_error', message: 'Something went wrong in Berth; the log says what.', status: 500 }
  await db.transaction(async (sql) => {
    await sql.query(
      `update schedule_run
       set state = 'failed', error = $2, finished_at = now()
       where id = $1`,
      [run.id, JSON.stringify({ code, message })],
    )
    if (lasting.has(status)) await pauseSchedule(sql, run.scheduleId, message)
  })
}
