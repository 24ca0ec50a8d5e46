import { randomUUID } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { query } from '../berth/databases.ts'
import { until } from '../berth/processes.ts'
import { startEffects } from './effects.ts'
import { killWorkers } from './killed-workers.ts'

// A share of `npm run soak -- tasks`.
const tasks = 40 * Number(process.env.BERTH_TEST_RUNS ?? 1)
const seed = Number(process.env.BERTH_TEST_SEED ?? 17)

test(`${tasks} tasks end, each with one effect, while workers and the service of tasks are killed (seed ${seed})`, async () => {
  const report = await killWorkers({ tasks, seed })
  expect(report).toMatchObject({ states: { completed: tasks }, effects: tasks, doubled: 0, missing: 0 })
  expect(Object.keys(report.states)).toEqual(['completed'])
  expect(report.kills.workers).toBeGreaterThan(0)
}, 240_000)

test('a worker that sleeps longer than its lease writes nothing when it wakes: its task is done by another one', async () => {
  const effects = await startEffects(1)
  try {
    const read = (sql: string) => query(effects.databaseUrl, sql) as Promise<{ fence: number }[]>
    const id = randomUUID()
    const actor = { id: null, name: 'sleeper' }
    const request = { id, kind: 'effect', payload: { workMs: 400 }, exclusive: ['r'], shared: [], actor }
    await effects.tasks.call('create-task', request)
    await until('the work has begun', async () => (await read('select fence from effects.guard')).length > 0)
    const sleeper = effects.workers[0]?.pid ?? 0
    process.kill(sleeper, 'SIGSTOP')
    try {
      await effects.addWorker()
      const ended = async () => {
        const { tasks } = await effects.tasks.call('list-task-states', { ids: [id] })
        return tasks[0]?.state === 'completed'
      }
      await until('another worker has done it', ended)
    } finally {
      process.kill(sleeper, 'SIGCONT')
    }
    await until('the sleeper was refused', async () => (await read('select fence from effects.refused')).length > 0)
    expect(await read('select fence::integer as fence from effects.refused')).toEqual([{ fence: 1 }])
    expect(await read('select fence::integer as fence from effects.effect')).toEqual([{ fence: 2 }])
    const { tasks } = await effects.tasks.call('list-task-states', { ids: [id] })
    expect(tasks).toMatchObject([{ state: 'completed', error: null }])
  } finally {
    await effects.stop()
  }
}, 60_000)
