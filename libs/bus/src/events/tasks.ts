import { defineEvent, type EventKind } from './event.ts'
import { count, text, uuid } from './fields.ts'

export type TaskChanged = {
  taskId: string
  kind: string
  state: string
  attempt: number
  resources: string[]
  error: { code: string; message: string } | null
}

const task = {
  taskId: uuid,
  kind: text,
  state: text,
  attempt: count,
  resources: { type: 'array', items: text },
  error: {
    anyOf: [
      { type: 'null' },
      {
        type: 'object',
        additionalProperties: false,
        properties: { code: text, message: text },
        required: ['code', 'message'],
      },
    ],
  },
}

export const taskEvents = {
  waiting: defineEvent<TaskChanged>('tasks', 'task.queued', 'A task waits for its turn.', task),
  running: defineEvent<TaskChanged>('tasks', 'task.started', 'A worker took a task.', task),
  completed: defineEvent<TaskChanged>('tasks', 'task.completed', 'A task ended well.', task),
  failed: defineEvent<TaskChanged>('tasks', 'task.failed', 'A task ended with an error.', task),
  cancelled: defineEvent<TaskChanged>('tasks', 'task.cancelled', 'A task was cancelled.', task),
} satisfies Record<string, EventKind<TaskChanged>>
