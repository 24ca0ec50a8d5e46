import { eventsRecorded } from '@berth/bus'
import { createHost } from '@berth/host'
import type { Service, ServiceParts } from '@berth/service'
import { notStarted, taskHandlers } from './api.ts'
import { tasksCommands } from './commands.ts'
import type { TasksConfig } from './config.ts'
import { openPrisma } from './db/client.ts'
import { schemaParts } from './db/schema-parts.ts'
import { createDoorbell, workWaiting } from './queue/doorbell.ts'
import { forgetTasks } from './queue/forget.ts'
import { sweepLeases } from './queue/sweep.ts'
import { type Changes, startChanges } from './watch/changes.ts'

const defaultSweepEveryMs = 1_000
const forgetEveryMs = 3_600_000
const defaultKeptDays = 30

/**
 * Builds tasks: the queue of all long work, its locks, and who works on what. Every `sweepEveryMs`, a second unless given, it
 * looks for workers that were lost.
 */
export function createTasks(
  config: TasksConfig,
  { sweepEveryMs = defaultSweepEveryMs, ...parts }: ServiceParts & { sweepEveryMs?: number },
): Service {
  const host = createHost({
    name: 'tasks',
    source: import.meta.url,
    schemaParts,
    config,
    peers: ['auth'],
    parts,
    connections: 10,
  })
  const { db, log } = host
  let changes: Changes | undefined

  const sweep = async () => {
    for (const { id, kind, attempt, state } of await sweepLeases(db))
      log.warn('the worker of a task was lost', { task: id, kind, attempt, state })
  }
  const forget = async (signal: AbortSignal) => {
    const forgotten = await forgetTasks(db.background, config.taskKeptDays ?? defaultKeptDays, signal)
    if (forgotten > 0) log.info('tasks that ended long ago are forgotten', { forgotten })
  }

  return host.service({
    public: {
      handlers: taskHandlers(db, openPrisma(db), () => {
        if (!changes) throw notStarted()
        return changes
      }),
    },
    commands: tasksCommands(db),
    start: async ({ bus, keep, loop }) => {
      const doorbell = keep('doorbell', createDoorbell(bus, log))
      db.onCommit(workWaiting, (rings) => doorbell.ring(rings))
      const watching = keep('watchers', startChanges(db, log))
      db.onCommit(eventsRecorded, () => watching.wake())
      changes = watching
      loop('sweeper', { everyMs: sweepEveryMs, failure: 'leases could not be swept', run: sweep })
      loop('forgetting', { everyMs: forgetEveryMs, failure: 'old tasks will be forgotten later', run: forget })
    },
  })
}
