import { type OutboxRow, readOutbox } from '@berth/bus'
import { type CommandHandlers, commandHandlers, type OutboxPage, type TasksCommands } from '@berth/commands'
import type { Database, InternalHandler } from '@berth/service'
import { cancelChildren } from './queue/cancel.ts'
import { claimTask } from './queue/claim.ts'
import { createTask } from './queue/create.ts'
import type { Ring } from './queue/doorbell.ts'
import { finishTask } from './queue/finish.ts'
import { renewLease } from './queue/heartbeat.ts'
import { putBack } from './queue/put-back.ts'
import { taskStates } from './queue/states.ts'

type Commands = TasksCommands & { events: { request: { after: number }; reply: OutboxPage } }

/** What other services have tasks do. `changed` is called after each change, with what to ring for. */
export function tasksCommands(
  db: Database,
  changed: (rings: readonly Ring[]) => void,
): Record<string, InternalHandler> {
  const handlers: CommandHandlers<Commands> = {
    create: async (request) => {
      const { task, rings } = await createTask(db, request)
      changed(rings)
      return { task }
    },
    claim: async (request) => {
      const task = await claimTask(db, request)
      if (task) changed([])
      return { task }
    },
    heartbeat: (request) => renewLease(db, request),
    'cancel-children': async ({ parent }) => {
      changed(await db.transaction((sql) => cancelChildren(sql, parent)))
      return {}
    },
    finish: async (request) => {
      changed(await finishTask(db, request))
      return {}
    },
    'put-back': async (request) => {
      changed(await putBack(db, request))
      return {}
    },
    states: async ({ ids }) => ({ tasks: await taskStates(db, ids) }),
    events: async ({ after }): Promise<{ events: OutboxRow[]; tooOld: boolean; head: number }> => readOutbox(db, after),
  }
  return commandHandlers(handlers)
}
