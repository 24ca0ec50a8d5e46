import { BlobStoreError } from '@berth/blobs'
import type { ClaimedTask, TaskError } from '@berth/commands'
import { isPassing, type Logger, Problem } from '@berth/service'

/** How a task ended, as its worker reports it. */
export type Outcome = { state: 'completed' | 'failed' | 'cancelled'; result?: unknown; error?: TaskError }
/** The outcome of a task that an error ended. */
export type ErrorOutcome = { state: 'failed' | 'cancelled'; error: TaskError }

/** A caller asked to end the task. */
export class TaskCancelled extends Error {
  override name = 'TaskCancelled'
}
/** The task is another worker's now or soon, or this worker stops; nothing is to be reported. */
export class TaskLost extends Error {
  override name = 'TaskLost'
}

export type ErrorContext = {
  task: Pick<ClaimedTask, 'id' | 'kind'>
  /** The signal of the task: once it is aborted its reason is told, and not what failed because of it. */
  signal: AbortSignal
  log: Logger
  /** What is told of a task that was cancelled. */
  cancelled?: string
  /** Tells of errors that only this kind of task knows, or tells of known ones in its own words; `undefined` of all others. */
  explain?: (error: unknown) => TaskError | undefined
  /** Whether an error is of a server that is not ours. It ends the task: its refused connection only looks like that of a database. */
  isForeign?: (error: unknown) => boolean
}

/**
 * Says how an error ends a task, with what its user is told. Throws what ends no task: `TaskLost`, for then another worker goes
 * on with it, and an error that passes (`isPassing`), for then the task is tried again.
 */
export function outcomeOfError(error: unknown, context: ErrorContext): ErrorOutcome {
  const { signal, cancelled = 'The task was cancelled; what it had done by then stays done.' } = context
  const reason: unknown = signal.aborted ? signal.reason : error
  if (reason instanceof TaskLost) throw reason
  if (reason instanceof TaskCancelled) return { state: 'cancelled', error: { code: 'cancelled', message: cancelled } }
  if (isPassing(reason) && !context.isForeign?.(reason)) throw reason
  return { state: 'failed', error: context.explain?.(reason) ?? explainError(reason, context) }
}

function explainError(error: unknown, { task, log }: ErrorContext): TaskError {
  if (error instanceof Problem) return { code: error.code, message: error.message }
  if (error instanceof BlobStoreError) {
    log.warn('a task met a blob store that failed', { taskId: task.id, kind: task.kind, error })
    return { code: `store_${error.code}`, message: error.message }
  }
  log.error('task failed in an unforeseen way', { taskId: task.id, kind: task.kind, error })
  return { code: 'internal_error', message: 'Something went wrong in Berth; the log says what.' }
}
