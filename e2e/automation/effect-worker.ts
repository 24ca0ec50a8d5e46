import { setTimeout as pause } from 'node:timers/promises'
import { connectBus } from '@berth/bus'
import { commandsOf, type TasksCommands } from '@berth/commands'
import { createInternalClient, createLogger, openDatabase, readServicePrivateKey } from '@berth/service'
import { startWorker, TaskLost, type Work } from '@berth/worker'

/**
 * A process of its own that does tasks of kind `effect`: each writes one row. It goes by the fence as owners of real effects do
 * (services/catalog/src/stages): a worker that comes with a lower one than was seen before is refused, which is noted here.
 */
const {
  BERTH_DATABASE_URL = '',
  BERTH_NATS_URL = '',
  BERTH_SERVICE_PRIVATE_KEY = '',
  BERTH_TEST_TASKS = '',
} = process.env
const leaseSeconds = Number(process.env.BERTH_TASK_LEASE_SECONDS)
const steps = 4

const privateKey = readServicePrivateKey(BERTH_SERVICE_PRIVATE_KEY)
if (!privateKey) throw new Error('BERTH_SERVICE_PRIVATE_KEY is no key')
const log = createLogger({ service: 'effect-worker', level: 'error' })
const db = openDatabase({ url: BERTH_DATABASE_URL, schema: 'effects' })
const bus = await connectBus({ url: BERTH_NATS_URL, name: 'effect-worker', log })
const client = createInternalClient({
  baseUrl: BERTH_TEST_TASKS,
  from: 'sync',
  to: 'tasks',
  privateKey,
})

const doEffect: Work = async ({ id, fence, payload }, { report }) => {
  const { workMs = 0, isEmpty = false } = payload as { workMs?: number; isEmpty?: boolean }
  if (isEmpty) return { state: 'completed' }
  let done = 0
  report(() => [{ phase: 'work', done, total: steps, unit: 'steps' }])
  const [begun] = await db.query(
    `insert into guard (task, fence)
     values ($1, $2)
     on conflict (task) do update set fence = excluded.fence
     where guard.fence <= excluded.fence
     returning task`,
    [id, fence],
  )
  if (!begun) throw new TaskLost()
  for (; done < steps; done++) await pause(workMs / steps)
  const isOurs = await db.transaction(async (sql) => {
    const [guard] = await sql.query<{ fence: number; done: boolean }>(
      'select fence, done from guard where task = $1 for update',
      [id],
    )
    if (guard?.fence !== fence) {
      await sql.query('insert into refused (task, fence) values ($1, $2)', [id, fence])
      return false
    }
    if (guard.done) return true
    await sql.query('insert into effect (task, fence) values ($1, $2)', [id, fence])
    await sql.query('update guard set done = true where task = $1', [id])
    return true
  })
  if (!isOurs) throw new TaskLost()
  return { state: 'completed' }
}

const tasks = commandsOf<TasksCommands>(client)
startWorker({ tasks, bus, name: 'effect', works: { effect: doEffect }, leaseSeconds, log })
process.stdout.write('ready\n')
