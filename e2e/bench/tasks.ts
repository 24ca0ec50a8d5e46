import { randomUUID } from 'node:crypto'
import { type Effects, startEffects } from '../automation/effects.ts'
import { query } from '../berth/databases.ts'
import { until } from '../berth/processes.ts'
import { startTestServers, stopTestServers } from '../servers/running.ts'

const workers = 2
const makers = 8
const tasks = 2_000
const before = 300
const goal = 200

/** Small tasks from end to end: queued, announced, claimed, done by worker processes, ended; each with its events. */
export async function measureTasks(runs: number): Promise<string> {
  const figures: number[] = []
  await startTestServers()
  try {
    for (let run = 0; run < runs; run++) figures.push(await measureOnce())
  } finally {
    await stopTestServers()
  }
  const median = figures.toSorted((a, b) => a - b)[Math.floor(figures.length / 2)] ?? 0
  return [
    `| Small tasks from end to end, ${workers} worker processes | unit | Berth | goal |`,
    '| --- | --- | --- | --- |',
    `| queued, claimed and ended | tasks/s | ${Math.round(median)} | ${goal}${median < goal ? ' (missed)' : ''} |`,
  ].join('\n')
}

async function measureOnce(): Promise<number> {
  const effects = await startEffects(workers)
  try {
    // A process that has only just begun runs slowly.
    await carryOut(effects, before)
    const startedAt = performance.now()
    await carryOut(effects, tasks)
    return tasks / ((performance.now() - startedAt) / 1_000)
  } finally {
    await effects.stop()
  }
}

async function carryOut(effects: Effects, count: number): Promise<void> {
  let left = count
  const make = async () => {
    while (left-- > 0)
      await effects.tasks.call('create-task', {
        id: randomUUID(),
        kind: 'effect',
        payload: { isEmpty: true },
        exclusive: [`r${left}`],
        shared: ['common'],
        actor: { id: null, name: 'bench' },
      })
  }
  await Promise.all(Array.from({ length: makers }, make))
  const isOver = async () => {
    const [row] = (await query(
      effects.databaseUrl,
      "select exists (select from tasks.task where state in ('waiting', 'running')) as more",
    )) as { more: boolean }[]
    return row?.more === false
  }
  await until('all tasks have ended', isOver, 300_000)
}
