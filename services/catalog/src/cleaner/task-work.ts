import { BlobStoreError } from '@berth/blobs'
import type { ClaimedTask, TaskProgress } from '@berth/commands'
import { isPassing, type Logger, Problem } from '@berth/service'
import { TaskCancelled, TaskLost, type Work } from '@berth/worker'

type Hooks = { signal: AbortSignal; report: (progress: () => TaskProgress[]) => void }

/** Makes a task's work of something that answers a result: what it throws becomes the end that a person is told. */
export function workOf(log: Logger, carryOut: (task: ClaimedTask, hooks: Hooks) => Promise<unknown>): Work {
  return async (task, hooks) => {
    try {
      return { state: 'completed', result: await carryOut(task, hooks) }
    } catch (error) {
      const reason: unknown = hooks.signal.aborted ? hooks.signal.reason : error
      if (reason instanceof TaskLost) throw reason
      if (reason instanceof TaskCancelled)
        return {
          state: 'cancelled',
          error: { code: 'cancelled', message: 'The task was cancelled; what it had done by then stays done.' },
        }
      // The worker has it tried again.
      if (isPassing(reason)) throw reason
      if (reason instanceof Problem) return { state: 'failed', error: { code: reason.code, message: reason.message } }
      if (reason instanceof BlobStoreError) {
        log.warn('a task met a blob store that failed', { taskId: task.id, kind: task.kind, error: reason })
        return { state: 'failed', error: { code: `store_${reason.code}`, message: reason.message } }
      }
      log.error('a task on the store failed', { taskId: task.id, kind: task.kind, error: reason })
      return {
        state: 'failed',
        error: { code: 'internal_error', message: 'Something went wrong in Berth; the log says what.' },
      }
    }
  }
}
