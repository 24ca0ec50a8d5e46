import { Counter, createSignal, type Database, Gauge, Histogram, type Logger, type Metrics } from '@berth/service'

/** What metrics are told of a task that has changed its state. */
type Changed = {
  kind: string
  state: string
  attempt: number
  createdAt: Date
  startedAt: Date | null
  finishedAt: Date | null
}
type Count = { state: string; kind: string; count: number }

/** Raised by every change of a task's state, once it is committed. */
export const taskChanged = createSignal<Changed>('task changed')

// A look costs no more than this many rows a kind, however many tasks wait.
const mostCounted = 10_000
const buckets = [0.05, 0.2, 1, 5, 20, 60, 300, 1_800, 7_200, 43_200]

// From kind to kind by the index of what waits, for nobody else knows which there are. Few run at once.
const open = `
  with recursive waiting (kind) as (
    select min(kind)
    from task
    where state = 'waiting'
    union all
    select (
      select task.kind
      from task
      where task.state = 'waiting'
        and task.kind > waiting.kind
      order by task.kind
      limit 1)
    from waiting
    where waiting.kind is not null)
  select 'waiting' as state, kind,
    (
      select count(*)::integer
      from (
        select
        from task
        where task.state = 'waiting'
          and task.kind = waiting.kind
        limit ${mostCounted}) as counted) as count
  from waiting
  where kind is not null
  union all
  select 'running', kind, count(*)::integer
  from (
    select kind
    from task
    where state = 'running'
    limit ${mostCounted}) as running
  group by kind`

/** Makes the metrics of the queue. Answers how to tell it that a worker was lost, or that a schedule missed its time. */
export function measureTasks(
  { registry }: Pick<Metrics, 'registry'>,
  db: Database,
  log: Logger,
): { leaseLost(): void; scheduleMissed(count: number): void } {
  const registers = [registry]
  const tasks = new Gauge({
    name: 'berth_tasks',
    help: `Tasks that wait and run; ${mostCounted} stands for as many or more.`,
    labelNames: ['state', 'kind'],
    registers: [],
    async collect() {
      const counts = await db.query<Count>(open).catch((error: unknown) => {
        // The other metrics are all the more wanted then.
        log.warn('metrics lack the tasks that wait and run', { error })
        return []
      })
      this.reset()
      for (const { state, kind, count } of counts) this.set({ state, kind }, count)
    },
  })
  registry.registerMetric(tasks)
  const wait = new Histogram({
    name: 'berth_task_wait_seconds',
    help: 'Time from when a task was queued until a worker first took it.',
    buckets,
    registers,
  })
  const run = new Histogram({
    name: 'berth_task_run_seconds',
    help: 'Time from when a worker first took a task to its end.',
    labelNames: ['kind', 'result'],
    buckets,
    registers,
  })
  const lost = new Counter({
    name: 'berth_task_lease_lost_total',
    help: 'Times at which a task was taken from a worker that was not heard of any more.',
    registers,
  })
  const missed = new Counter({
    name: 'berth_schedule_missed_total',
    help: 'Times of schedules at which Berth did not run.',
    registers,
  })
  db.onCommit(taskChanged, (tasks) => {
    for (const { kind, state, attempt, createdAt, startedAt, finishedAt } of tasks) {
      if (!startedAt) continue
      if (state === 'running' && attempt === 1) wait.observe(secondsBetween(createdAt, startedAt))
      if (finishedAt) run.observe({ kind, result: state }, secondsBetween(startedAt, finishedAt))
    }
  })
  return { leaseLost: () => lost.inc(), scheduleMissed: (count) => missed.inc(count) }
}

function secondsBetween(from: Date, until: Date): number {
  return (until.getTime() - from.getTime()) / 1_000
}
