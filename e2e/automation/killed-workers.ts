import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { isPassing } from '@berth/service'
import { query } from '../berth/databases.ts'
import { until } from '../berth/processes.ts'
import { randomOf } from '../soak/pushers.ts'
import { type Effects, startEffects } from './effects.ts'

export type KilledReport = {
  tasks: number
  seed: number
  seconds: number
  kills: { workers: number; tasks: number }
  /** How many of the tasks ended so. */
  states: Record<string, number>
  /** Those that were begun more than once. */
  again: number
  /** Writes of workers that had lost their task. */
  refused: number
  effects: number
  doubled: number
  missing: number
}

const workers = 3
const resources = 40
const makers = 4
const patienceMs = 480_000

/** Has tasks done while their workers, and the service of tasks itself, are killed at random; answers what became of each. */
export async function killWorkers({ tasks, seed }: { tasks: number; seed: number }): Promise<KilledReport> {
  const effects = await startEffects(workers)
  try {
    const random = randomOf(seed)
    const startedAt = performance.now()
    const over = new AbortController()
    const [kills] = await Promise.all([
      killUntil(effects, random, over.signal),
      carryOut(effects, random, tasks).finally(() => over.abort()),
    ])
    const seconds = Math.round((performance.now() - startedAt) / 100) / 10
    return { tasks, seed, seconds, kills, ...(await count(effects.databaseUrl)) }
  } finally {
    await effects.stop()
  }
}

async function carryOut(effects: Effects, random: () => number, count: number): Promise<void> {
  let left = count
  const make = async () => {
    while (left-- > 0) await create(effects, random)
  }
  await Promise.all(Array.from({ length: makers }, make))
  const ended = async () => {
    const [row] = (await query(
      effects.databaseUrl,
      "select count(*)::integer as open from tasks.task where state in ('waiting', 'running')",
    )) as { open: number }[]
    return row?.open === 0
  }
  await until('all tasks have ended', ended, patienceMs)
}

/** Under one id until it is heard. */
async function create({ tasks }: Effects, random: () => number): Promise<void> {
  const id = randomUUID()
  const resource = `r${Math.floor(random() * resources)}`
  const locks = random() < 0.5 ? { exclusive: [resource], shared: [] } : { exclusive: [], shared: [resource] }
  const payload = { workMs: random() * 200 }
  const request = { id, kind: 'effect', payload, ...locks, actor: { id: null, name: 'killed' } }
  for (;;) {
    try {
      await tasks.call('create-task', request)
      return
    } catch (error) {
      if (!isPassing(error)) throw error
      await pause(50)
    }
  }
}

async function killUntil(effects: Effects, random: () => number, over: AbortSignal): Promise<KilledReport['kills']> {
  const kills = { workers: 0, tasks: 0 }
  for (;;) {
    await pause(300 + random() * 900, undefined, { signal: over }).catch(() => 'over')
    if (over.aborted) return kills
    if (random() < 0.25) {
      await effects.killTasks()
      kills.tasks++
    } else {
      await effects.killWorker(Math.floor(random() * workers))
      kills.workers++
    }
  }
}

async function count(databaseUrl: string): Promise<Omit<KilledReport, 'tasks' | 'seed' | 'seconds' | 'kills'>> {
  const states = (await query(
    databaseUrl,
    'select state, count(*)::integer as count from tasks.task group by state',
  )) as { state: string; count: number }[]
  const [row] = (await query(
    databaseUrl,
    `select
       (select count(*)::integer from tasks.task where attempt > 1) as again,
       (select count(*)::integer from effects.refused) as refused,
       (select count(*)::integer from effects.effect) as effects,
       (select count(*)::integer from (select from effects.effect group by task having count(*) > 1) as twice) as doubled,
       (select count(*)::integer from tasks.task where id not in (select task from effects.effect)) as missing`,
  )) as Omit<KilledReport, 'tasks' | 'seed' | 'seconds' | 'kills' | 'states'>[]
  if (!row) throw new Error('nothing was counted')
  return { states: Object.fromEntries(states.map(({ state, count }) => [state, count])), ...row }
}
