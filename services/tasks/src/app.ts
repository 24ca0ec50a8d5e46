import { eventsRecorded, type Loop } from '@berth/bus'
import { createHost } from '@berth/host'
import { createSealer, type Handlers, type Service, type ServiceParts } from '@berth/service'
import { notStarted, taskHandlers } from './api.ts'
import { auditHandlers } from './audit/api.ts'
import { createAuditTrail } from './audit/trail.ts'
import { tasksCommands } from './commands.ts'
import { peers, type TasksConfig } from './config.ts'
import { openPrisma } from './db/client.ts'
import { schemaParts } from './db/schema-parts.ts'
import { deadLetterHandlers } from './dead-letters/api.ts'
import { eventHandlers } from './event-log/api.ts'
import { followAll } from './event-log/follow-all.ts'
import { eventsLogged, forgetEvents } from './event-log/log-event.ts'
import { startTail, type Tail } from './event-log/tail.ts'
import type { operations } from './openapi-types.ts'
import { createDoorbell, workWaiting } from './queue/doorbell.ts'
import { forgetTasks } from './queue/forget.ts'
import { measureTasks } from './queue/measure-tasks.ts'
import { sweepLeases } from './queue/sweep.ts'
import { scheduleHandlers } from './schedules/api.ts'
import { makeDefaultSchedules } from './schedules/default-schedules.ts'
import { fireDue, forgetRuns, scheduleMissed, settleRuns } from './schedules/fire.ts'
import { scheduleObject } from './schedules/schedule.ts'
import { createStarter } from './schedules/start-runs.ts'
import { type Changes, startChanges } from './watch/changes.ts'
import { createAccounts } from './webhooks/accounts.ts'
import { webhookHandlers } from './webhooks/api.ts'
import { forgetDeliveries } from './webhooks/deliveries.ts'
import { deliveriesMade } from './webhooks/make-deliveries.ts'
import { measureWebhooks } from './webhooks/measure-webhooks.ts'
import { createAddReferences } from './webhooks/references.ts'
import { resealWebhooks } from './webhooks/reseal-webhooks.ts'
import { startSender } from './webhooks/sender.ts'
import { webhookSettings } from './webhooks/settings.ts'
import { webhookObject } from './webhooks/webhook.ts'

const defaultSweepEveryMs = 1_000
const scheduleEveryMs = 1_000
const forgetEveryMs = 3_600_000
const collectEveryMs = 2_000
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
    peers,
    parts,
    connections: 10,
  })
  const { db, log } = host
  const owners = { catalog: host.peers.catalog, sync: host.peers.sync }
  const sealer = createSealer(config.secretsKey, config.secretsPreviousKeys)
  const measures = measureTasks(parts.metrics, db, log)
  const accounts = createAccounts(host.peers.auth)
  const countTries = measureWebhooks(parts.metrics, db, log)
  db.onCommit(scheduleMissed, (times) => measures.scheduleMissed(times.length))
  let changes: Changes | undefined
  let tail: Tail | undefined
  let scheduling: Loop | undefined
  const starter = createStarter({ db: db.background, owners, log }, () => scheduling?.wake())

  const sweep = async () => {
    for (const { id, kind, attempt, state } of await sweepLeases(db)) {
      measures.leaseLost()
      log.warn('the worker of a task was lost', { task: id, kind, attempt, state })
    }
  }
  const forget = async (signal: AbortSignal) => {
    const keptDays = config.taskKeptDays ?? defaultKeptDays
    await forgetRuns(db.background, keptDays)
    await trail.forget()
    const forgotten = await forgetTasks(db.background, keptDays, signal)
    if (forgotten > 0) log.info('tasks that ended long ago are forgotten', { forgotten })
    await forgetEvents(db.background, signal)
    await forgetDeliveries(db.background, signal)
  }

  const trail = createAuditTrail(db, host.peers, config, { log, metrics: parts.metrics })
  const schedule = async (signal: AbortSignal) => {
    while (await fireDue(db.background)) signal.throwIfAborted()
    await settleRuns(db.background)
    await starter.start()
  }
  const handlers = {
    ...taskHandlers(db, openPrisma(db), () => started(changes)),
    ...deadLetterHandlers(
      {
        auth: host.peers.auth,
        ...(config.builds ? { build: host.peers.build } : {}),
        registry: host.peers.registry,
        ...owners,
        tasks: host.deadLetters,
      },
      log,
    ),
    ...eventHandlers({ db, log, tail: () => started(tail) }),
    ...auditHandlers(db, trail),
    ...scheduleHandlers({ db, auth: host.peers.auth, owners, onRun: () => scheduling?.wake() }),
    ...webhookHandlers({ db, sealer, accounts, externalUrl: config.externalUrl }),
  } satisfies Handlers<operations>

  return host.service({
    public: {
      handlers,
      objects: {
        schedule: (idOrName) => scheduleObject(db, idOrName),
        webhook: (idOrName) => webhookObject(db, idOrName),
      },
    },
    commands: tasksCommands(db),
    prepare: () => resealWebhooks(db, sealer, log),
    start: async (running) => {
      const { bus, keep, loop } = running
      const doorbell = keep('doorbell', createDoorbell(bus, log))
      db.onCommit(workWaiting, (rings) => doorbell.ring(rings))
      const watching = keep('watchers', startChanges(db, log))
      db.onCommit(eventsRecorded, () => watching.wake())
      changes = watching
      tail = keep('tail of events', startTail(db, log))
      followAll(running, { db, owners, tail, builds: config.builds ?? false })
      const sender = keep(
        'webhooks',
        startSender({
          db,
          sealer,
          log,
          accounts,
          addReferences: createAddReferences(host.peers.catalog),
          count: countTries,
          waitsSeconds: config.webhookTries ?? webhookSettings.webhookTries.fallback ?? [0],
        }),
      )
      db.onCommit(eventsLogged, sender.newsCame)
      db.onCommit(deliveriesMade, sender.wake)
      await makeDefaultSchedules(db, config, log)
      loop('sweeper', { everyMs: sweepEveryMs, failure: 'leases could not be swept', run: sweep })
      keep('starts of schedules', starter)
      scheduling = loop('schedules', {
        everyMs: scheduleEveryMs,
        failure: 'schedules will be looked at again',
        run: schedule,
      })
      loop('audit trail', {
        everyMs: collectEveryMs,
        failure: 'the audit trail comes later',
        run: () => trail.collect(),
      })
      loop('forgetting', { everyMs: forgetEveryMs, failure: 'old tasks will be forgotten later', run: forget })
    },
  })
}

/** What a request needs that may come before the service is up. Throws 503. */
function started<Part>(part: Part | undefined): Part {
  if (part === undefined) throw notStarted()
  return part
}
