import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { type Bus, listenForWork, startLoop } from '@berth/bus'
import type { ClaimedTask, CommandClient, TaskError, TaskLines, TaskProgress, TasksCommands } from '@berth/commands'
import { databaseProblem, type Logger, Problem, reasonOf } from '@berth/service'
import { inSpan } from '@berth/tracing'
import { type Outcome, outcomeOfError, TaskCancelled, TaskLost } from './outcome.ts'
import { createTaskLog, type Note, type TaskLog } from './task-log.ts'

type Hooks = { signal: AbortSignal; report: (progress: () => TaskProgress[]) => void; note: Note }

/**
 * Does a task. `signal` aborts with `TaskCancelled` or `TaskLost` as its reason. An error that it throws ends the task as
 * `outcomeOfError` says, unless a database or another service is away (`isPassing`): then the task is tried again.
 */
export type Work = (task: ClaimedTask, hooks: Hooks) => Promise<Outcome>

/** The task is to be tried again: what it needs was away. */
type PutBack = { state: 'put back'; error: TaskError }

const pollMs = 2_000
const beatMs = 1_000
// Soon at first: what was done before a worker is lost is to be known (services/tasks/src/queue/sweep.ts).
const firstBeatMs = 125
const usualCapacity = 2
const longestPauseMs = 10_000
// Berth stops within 10 s of SIGTERM. Two services of one process have workers, and stop one after the other behind the 3 s
// that open requests get (deploy/standalone/src/stack.ts).
const stopGraceMs = 2_000

/**
 * Takes tasks of some kinds and does them, a few at a time, beating for each so that no other worker takes it before
 * `leaseSeconds` without a beat are over. `name` is the service's, for the log of tasks. `stop` waits two seconds for what
 * runs to heed its signal; what does not is left to its lease, and the log says so.
 */
export function startWorker(options: {
  tasks: CommandClient<TasksCommands>
  bus: Bus
  name: string
  works: Record<string, Work>
  leaseSeconds: number
  log: Logger
  /** How many tasks it does at a time; two unless set. */
  capacity?: number
}): { stop(): Promise<void> } {
  const { tasks, bus, name, log, works, leaseSeconds, capacity = usualCapacity } = options
  const kinds = Object.keys(works)
  const worker = `${name}-${randomUUID()}`
  const stopping = new AbortController()
  // By task id: how to leave it, and its end.
  const running = new Map<string, { ended: AbortController; done: Promise<void> }>()

  const loop = startLoop({
    pollMs,
    pauseAfterFailureMs: pollMs,
    onError: (error) => log.warn('tasks cannot be asked for work', { error }),
    run: async (signal) => {
      while (running.size < capacity && !stopping.signal.aborted) {
        // The claim is given up when the worker stops, however long tasks stays away; a task that this loses comes back when its
        // lease ends.
        const { task } = await tasks.call('claim-task', { kinds, worker, leaseSeconds }, { signal })
        if (!task) return
        const ended = new AbortController()
        const done = carryOut(task, ended)
          .catch((error: unknown) => log.error('task is left to its lease', { taskId: task.id, error }))
          .finally(() => {
            running.delete(task.id)
            loop.wake()
          })
        running.set(task.id, { ended, done })
      }
    },
  })
  const listening = kinds.map((kind) => listenForWork({ bus, kind, log, onRing: loop.wake }))

  async function carryOut(task: ClaimedTask, ended: AbortController): Promise<void> {
    let progress: () => TaskProgress[] = () => []
    const lines = createTaskLog()
    lines.note(`attempt ${task.attempt} begins`)
    const beating = beat(task, ended, { progress: () => progress(), lines })
    // Without beats the task is soon another worker's, and this one must know.
    beating.catch((error: unknown) => ended.abort(new TaskLost('its heart stopped', { cause: error })))
    let outcome: Outcome | PutBack | undefined
    try {
      outcome = await doWork(task, {
        signal: AbortSignal.any([ended.signal, stopping.signal]),
        report: (source) => {
          progress = source
        },
        note: lines.note,
      })
    } catch (error) {
      // While this worker stops nothing is reported: the one that goes on with the task meets the fault again.
      if (error instanceof TaskLost || stopping.signal.aborted)
        log.warn('task is left to its lease', { taskId: task.id, error })
      else outcome = putBack(task, error)
    } finally {
      const lost = ended.signal.reason instanceof TaskLost || stopping.signal.aborted
      ended.abort(new TaskLost())
      await beating
      if (outcome && !lost) await finish(task, outcome, { progress: progress(), lines })
    }
  }

  async function doWork(task: ClaimedTask, hooks: Hooks): Promise<Outcome> {
    try {
      const work = works[task.kind]
      if (!work) throw new Error(`a task of kind ${task.kind} came, which was not asked for`)
      const { kind, attempt, traceparent } = task
      return await inSpan(
        {
          name: `process ${kind}`,
          kind: 'consumer',
          service: name,
          isRoot: true,
          parent: traceparent,
          attributes: { 'berth.task.id': task.id, 'berth.task.kind': kind, 'berth.task.attempt': attempt },
        },
        () => work(task, hooks),
      )
    } catch (error) {
      return outcomeOfError(error, { task, signal: hooks.signal, log })
    }
  }

  function putBack(task: ClaimedTask, error: unknown): PutBack {
    const problem = databaseProblem(error) ?? (error as Problem)
    log.warn('a task met something that is away', { taskId: task.id, ...reasonOf(problem) })
    return { state: 'put back', error: { code: problem.code, message: problem.message } }
  }

  async function beat(
    task: ClaimedTask,
    ended: AbortController,
    { progress, lines }: { progress: () => TaskProgress[]; lines: TaskLog },
  ): Promise<void> {
    for (let pauseMs = firstBeatMs; !ended.signal.aborted; pauseMs = Math.min(pauseMs * 2, beatMs)) {
      await delay(pauseMs, undefined, { signal: ended.signal }).catch(() => 'ended')
      if (ended.signal.aborted) return
      const some = lines.next()
      try {
        const { cancelled } = await tasks.call(
          'renew-task',
          { id: task.id, fence: task.fence, leaseSeconds, progress: progress(), log: some },
          { timeoutMs: beatMs * 5 },
        )
        lines.sent(some)
        if (cancelled) ended.abort(new TaskCancelled())
      } catch (error) {
        if (error instanceof Problem && error.code === 'task_lost') ended.abort(new TaskLost())
        // Tasks may be restarting. A worker that took over meanwhile has a higher fence, so going on can do no harm.
        else log.warn('heartbeat was not heard', { taskId: task.id, error })
      }
    }
  }

  /** Reports the end until it is acknowledged: a task whose end was not heard would be done again. */
  async function finish(
    task: ClaimedTask,
    outcome: Outcome | PutBack,
    { progress, lines }: { progress: TaskProgress[]; lines: TaskLog },
  ): Promise<void> {
    noteEnd(outcome, lines.note)
    for (let pauseMs = 500; !stopping.signal.aborted; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      try {
        const { id, fence } = task
        const log = await sendButTheLast(task, lines)
        if (outcome.state === 'put back')
          await tasks.call('put-back-task', { id, fence, progress, error: outcome.error, log })
        else await tasks.call('finish-task', { id, fence, progress, ...outcome, log })
        return
      } catch (error) {
        if (error instanceof Problem && error.status === 409) return
        log.warn('the end of a task was not heard', { taskId: task.id, error })
        await delay(pauseMs, undefined, { signal: stopping.signal }).catch(() => 'stopping')
      }
    }
  }

  /** Sends what there is of a log, but for so much as goes with the end: that is answered. */
  async function sendButTheLast({ id, fence }: ClaimedTask, lines: TaskLog): Promise<TaskLines | undefined> {
    for (let some = lines.next(); ; some = lines.next()) {
      if (!lines.hasMoreThan(some)) return some
      await tasks.call('renew-task', { id, fence, leaseSeconds, log: some })
      lines.sent(some)
    }
  }

  /** Waits for what runs, but no longer than the grace. Tasks that are left beat no more, so that another worker gets them, under a higher fence. */
  async function leaveRunning(): Promise<void> {
    const over = new AbortController()
    const grace = delay(stopGraceMs, undefined, { signal: over.signal }).catch(() => 'over')
    await Promise.race([grace, Promise.all([...running.values()].map(({ done }) => done))])
    over.abort()
    if (running.size === 0) return
    log.warn('tasks do not heed the stop and are left to their leases', { taskIds: [...running.keys()] })
    for (const { ended } of running.values()) ended.abort(new TaskLost())
  }

  return {
    stop: async () => {
      stopping.abort(new TaskLost())
      await Promise.all(listening.map((one) => one.stop()))
      await loop.stop()
      await leaveRunning()
    },
  }
}

function noteEnd({ state, error }: Outcome | PutBack, note: Note): void {
  const level = state === 'failed' ? 'error' : state === 'put back' ? 'warn' : 'info'
  const code = error ? `: ${error.code}` : ''
  const message = state === 'put back' ? `put back, to be tried again${code}` : `${state}${code}`
  note(message, error ? { level, detail: error.message } : { level })
}
