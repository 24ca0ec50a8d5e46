import { type CommandHandlers, commandHandlers, type TasksCommands } from '@berth/commands'
import type { Database, InternalHandler } from '@berth/service'
import { cancelChildren } from './queue/cancel.ts'
import { claimTask } from './queue/claim.ts'
import { createTask } from './queue/create.ts'
import { finishTask } from './queue/finish.ts'
import { renewLease } from './queue/heartbeat.ts'
import { putBack } from './queue/put-back.ts'
import { taskStates } from './queue/states.ts'
import { schedulesOf, transferSchedules } from './schedules/of-account.ts'

/** What other services have tasks do. */
export function tasksCommands(db: Database): Record<string, InternalHandler> {
  const handlers: CommandHandlers<TasksCommands> = {
    'create-task': async (request) => ({ task: await createTask(db, request) }),
    'claim-task': async (request) => ({ task: await claimTask(db, request) }),
    'renew-task': (request) => renewLease(db, request),
    'find-schedules-of': (request) => schedulesOf(db, request),
    'transfer-schedules': async (request) => {
      await transferSchedules(db, request)
      return {}
    },
    'cancel-children': async ({ parent }) => {
      await db.transaction((sql) => cancelChildren(sql, parent))
      return {}
    },
    'finish-task': async (request) => {
      await finishTask(db, request)
      return {}
    },
    'put-back-task': async (request) => {
      await putBack(db, request)
      return {}
    },
    'list-task-states': async ({ ids }) => ({ tasks: await taskStates(db, ids) }),
  }
  return commandHandlers(handlers)
}
