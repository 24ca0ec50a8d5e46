import type { Rights } from '@berth/access'
import type { Actor } from '@berth/service'

const taskStates = ['waiting', 'running', 'completed', 'failed', 'cancelled'] as const
export type TaskState = (typeof taskStates)[number]
/** A phase of a task. `perSecond` is of its unit; `pausedUntil` and `reason` say that it waits for an upstream or another task. */
export type TaskProgress = {
  phase: string
  done: number
  total: number | null
  unit: string
  perSecond?: number
  etaSeconds?: number
  pausedUntil?: string
  reason?: string
}
export type TaskError = { code: string; message: string }
/**
 * A line of a task's log. `message` is Berth's own words, for all who see the task; `detail` may have what an upstream said, for those
 * who may use it. `at` is ISO 8601.
 */
export type TaskLine = { at: string; level: 'info' | 'warn' | 'error'; message: string; detail?: string }
/** Lines of one attempt; the first has this number in it, and the same number again is the same line. */
export type TaskLines = { first: number; lines: TaskLine[] }

/** A task as the API shows it. Times are ISO 8601. */
export type Task = {
  id: string
  kind: string
  parent: string | null
  /** The task that this one tries again. */
  retryOf: string | null
  state: TaskState
  progress: TaskProgress[]
  result: unknown
  error: TaskError | null
  createdAt: string
  startedAt: string | null
  finishedAt: string | null
  resources: string[]
}

/** What a task works on; without an id where the task makes it. */
export type TaskObject = {
  kind: 'repository' | 'distribution' | 'remote'
  id: string | null
  name: string
  ownerId: string | null
}

/** A task in the hands of a worker. The fence grows with each claim; an owner refuses what carries a lower one. */
export type ClaimedTask = {
  id: string
  kind: string
  payload: unknown
  fence: number
  attempt: number
  actor: Actor
  /** The task that this one tries again, with its payload; `failedOnly`: no more of it than failed. */
  retry: { of: string; failedOnly: boolean } | null
  /** The trace in which it was asked for. */
  traceparent?: string
}

/** Tasks' internal commands. */
export type TasksCommands = {
  /** Queues a task under an id of the caller's; the same id again is the same task. */
  'create-task': {
    request: {
      id: string
      kind: string
      payload: unknown
      exclusive: string[]
      shared: string[]
      actor: Actor
      parent?: string
      /** What it works on: who may read all of it sees the task, and who has `task.update` there may cancel it. */
      on?: TaskObject[]
    }
    reply: { task: Task }
  }
  /** Gives the oldest task of these kinds whose resources are free, leased to this worker. */
  'claim-task': {
    request: { kinds: string[]; worker: string; leaseSeconds: number }
    reply: { task: ClaimedTask | null }
  }
  /** Renews the lease, and keeps lines of the log. `cancelled`: stop the work and report. 409 `task_lost` when the task is no longer this worker's. */
  'renew-task': {
    request: { id: string; fence: number; leaseSeconds: number; progress?: TaskProgress[]; log?: TaskLines }
    reply: { cancelled: boolean }
  }
  /**
   * Gives a task back whose work met a database or a service that is away. It waits a while and is tried again, five times at
   * most; then it has failed with this error. 409 `task_lost` as for a heartbeat.
   */
  'put-back-task': {
    request: { id: string; fence: number; error: TaskError; progress?: TaskProgress[]; log?: TaskLines }
    reply: Record<string, never>
  }
  /** Schedules that run as an account: the names of those (a hundred at most) that may be seen with these rights, and how many there are. */
  'find-schedules-of': {
    request: { accountId: string; rights: Rights }
    reply: { names: string[]; count: number }
  }
  /** Has them run as another account. */
  'transfer-schedules': {
    request: { accountId: string; to: { id: string; name: string } }
    reply: Record<string, never>
  }
  /** Cancels what of a task's own tasks has not ended. */
  'cancel-children': { request: { parent: string }; reply: Record<string, never> }
  /** How it stands with tasks; those that do not exist are left out. */
  'list-task-states': {
    request: { ids: string[] }
    reply: { tasks: { id: string; state: TaskState; error: TaskError | null }[] }
  }
  /** Ends a task. Reporting the same end twice is harmless. */
  'finish-task': {
    request: {
      id: string
      fence: number
      state: 'completed' | 'failed' | 'cancelled'
      result?: unknown
      error?: TaskError
      progress?: TaskProgress[]
      log?: TaskLines
    }
    reply: Record<string, never>
  }
}
