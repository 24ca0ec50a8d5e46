import { nameLimit, recordEvents, type TaskChanged, taskEvents } from '@berth/bus'
import type { Task, TaskError, TaskProgress, TaskState } from '@berth/commands'
import type { Actor, Transaction } from '@berth/service'
import { taskChanged } from './measure-tasks.ts'

/** What is read of a task to show it or to tell of it. */
export type TaskRow = {
  id: string
  kind: string
  parent: string | null
  state: string
  resources: string[]
  progress: unknown
  result: unknown
  error: unknown
  attempt: number
  actor: string
  actorId: string | null
  retryOf: string | null
  createdAt: Date
  startedAt: Date | null
  finishedAt: Date | null
}

/** The columns of a `TaskRow`. */
export const taskColumns = `task.id, task.kind, task.parent, task.state, task.resources, task.progress, task.result, task.error, task.attempt,
  task.actor, task.actor_id as "actorId", task.retry_of as "retryOf", task.created_at as "createdAt", task.started_at as "startedAt", task.finished_at as "finishedAt"`

/** A task as the API and the internal commands show it. */
export function showTask(row: TaskRow): Task {
  return {
    id: row.id,
    kind: row.kind,
    parent: row.parent,
    retryOf: row.retryOf,
    state: row.state as TaskState,
    progress: row.progress as TaskProgress[],
    result: row.result ?? null,
    error: (row.error as TaskError | null) ?? null,
    createdAt: row.createdAt.toISOString(),
    startedAt: row.startedAt?.toISOString() ?? null,
    finishedAt: row.finishedAt?.toISOString() ?? null,
    resources: row.resources,
  }
}

/** Whether a task has ended; nothing changes it any more. */
export function hasEnded(state: string): boolean {
  return state === 'completed' || state === 'failed' || state === 'cancelled'
}

/** Records the event that tells of a task's new state, in the transaction of the change. */
export async function recordChange(sql: Transaction, rows: readonly TaskRow[]): Promise<void> {
  for (const row of rows) sql.afterCommit(taskChanged, row)
  await recordEvents(
    sql,
    rows.map((row) => ({ kind: taskEvents[row.state as TaskState], data: changeOf(row), actor: actorOf(row) })),
  )
}

/** Who started a task. */
export function actorOf({ actor, actorId }: Pick<TaskRow, 'actor' | 'actorId'>): Actor {
  return { id: actorId, name: actor }
}

function changeOf(row: TaskRow): TaskChanged {
  return {
    taskId: row.id,
    kind: row.kind,
    state: row.state,
    attempt: row.attempt,
    resources: row.resources.slice(0, nameLimit),
    error: (row.error as TaskError | null) ?? null,
  }
}
