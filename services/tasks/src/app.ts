import { connectBus, eventsRecorded, natsNotes, startLoop, startRelay } from '@berth/bus'
import {
  applyMigrations,
  createApi,
  createInternalClient,
  createInternalServer,
  Lifecycle,
  openDatabase,
  readApiDocument,
  type Service,
  type ServiceParts,
} from '@berth/service'
import { identifyThrough } from '@berth/tokens'
import { notStarted, taskHandlers } from './api.ts'
import { tasksCommands } from './commands.ts'
import type { TasksConfig } from './config.ts'
import { openPrisma } from './db/client.ts'
import { schemaParts } from './db/schema-parts.ts'
import { createDoorbell, workWaiting } from './queue/doorbell.ts'
import { forgetTasks } from './queue/forget.ts'
import { sweepLeases } from './queue/sweep.ts'
import { type Changes, startChanges } from './watch/changes.ts'

const name = 'tasks'
const defaultSweepEveryMs = 1_000
const forgetEveryMs = 3_600_000
const defaultKeptDays = 30

/**
 * Builds tasks: the queue of all long work, its locks, and who works on what. Every `sweepEveryMs`, a second unless given, it
 * looks for workers that were lost.
 */
export function createTasks(
  config: TasksConfig,
  { log: base, metrics, localPeers, sweepEveryMs = defaultSweepEveryMs }: ServiceParts & { sweepEveryMs?: number },
): Service {
  const log = base.with({ service: name })
  const life = new Lifecycle(log)
  const db = openDatabase({
    url: config.databaseUrl,
    schema: name,
    max: 10,
    onError: (error) => log.warn('database connection lost', { error }),
  })
  const auth = createInternalClient({
    baseUrl: config.authUrl,
    from: name,
    to: 'auth',
    serviceKey: config.serviceKey,
    callTimeoutSeconds: config.callTimeoutSeconds,
    localPeers,
  })
  let running: Changes | undefined
  const changes = () => {
    if (!running) throw notStarted()
    return running
  }

  return {
    name,
    public: createApi({
      service: name,
      document: readApiDocument(new URL('../openapi.yaml', import.meta.url)),
      handlers: taskHandlers(db, openPrisma(db), changes),
      externalUrl: config.externalUrl,
      identify: identifyThrough(auth),
      log,
      metrics,
    }),
    internal: createInternalServer({
      service: name,
      serviceKey: config.serviceKey,
      log,
      commands: tasksCommands(db),
    }),
    start: async () => {
      life.onStop('auth client', () => auth.close())
      life.onStop('database', () => db.close())
      await applyMigrations({
        url: config.databaseUrl,
        schema: name,
        parts: schemaParts,
      })
      const bus = await connectBus({ url: config.natsUrl, name: `berth-${name}`, log, metrics })
      life.onStop('nats', () => bus.close())
      const relay = startRelay({ db, bus, source: name, log, restored: config.restored })
      life.onStop('relay', () => relay.stop())
      const doorbell = createDoorbell(bus, log)
      life.onStop('doorbell', () => doorbell.stop())
      db.onCommit(workWaiting, (rings) => doorbell.ring(rings))
      const watching = startChanges(db, log)
      life.onStop('watchers', () => watching.stop())
      running = watching
      db.onCommit(eventsRecorded, () => watching.wake())
      const sweeper = startLoop({
        pollMs: sweepEveryMs,
        pauseAfterFailureMs: sweepEveryMs,
        onError: (error) => log.warn('leases could not be swept', { error }),
        run: async () => {
          for (const task of await sweepLeases(db))
            log.warn('the worker of a task was lost', {
              task: task.id,
              kind: task.kind,
              attempt: task.attempt,
              state: task.state,
            })
        },
      })
      life.onStop('sweeper', () => sweeper.stop())
      const { taskKeptDays = defaultKeptDays } = config
      const forgetting = startLoop({
        pollMs: forgetEveryMs,
        pauseAfterFailureMs: forgetEveryMs,
        onError: (error) => log.warn('old tasks will be forgotten later', { error }),
        run: async (signal) => {
          const forgotten = await forgetTasks(db.background, taskKeptDays, signal)
          if (forgotten > 0) log.info('tasks that ended long ago are forgotten', { forgotten })
        },
      })
      life.onStop('forgetting', () => forgetting.stop())
    },
    stop: () => life.stop(),
    notes: async () => natsNotes(),
    unready: async () => {
      try {
        await db.query('select 1')
        return undefined
      } catch {
        return 'PostgreSQL does not answer'
      }
    },
  }
}
