import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { CommandClient, TasksCommands } from '@berth/commands'
import { makeDatabase, type ServiceProcess, startProcess } from '@berth/service/testing'
import { query } from '../berth/databases.ts'
import { randomOf } from '../soak/pushers.ts'
import { findViolations, type Locked, type Step } from './lock-history.ts'
import { connect } from './tasks-client.ts'

export type Torture = { seed: number; tasks: number; resources: number; replicas: number; claimers: number }
export type TortureReport = Torture & {
  seconds: number
  /** The most tasks that ran at once. */
  atOnce: number
  violations: string[]
}

const makers = 4
// Claims for different kinds look for different tasks, and so could find two at once that exclude each other.
const kinds = ['torture-a', 'torture-b', 'torture-c']
const mostLocks = 4
const longestWorkMs = 8
const patienceMs = 300_000

/** Each change of a task's state, in the order of the transactions that change it: a claim looks and is noted in one statement. */
const witness = `
  create table tasks.witness (n bigserial, task uuid, state text);
  create function tasks.note_state() returns trigger language plpgsql as
    'begin insert into tasks.witness (task, state) values (new.id, new.state); return null; end';
  create trigger witness after update of state on tasks.task for each row
    when (old.state is distinct from new.state) execute function tasks.note_state();`

/**
 * Makes tasks that lock some resources alone and others together, on several processes of tasks, while claimers on all of them take
 * and end what they get. Answers where a task ran beside one that it must not run beside, or before one that came earlier.
 */
export async function tortureLocks(torture: Torture): Promise<TortureReport> {
  const database = await makeDatabase()
  const processes: ServiceProcess[] = []
  const clients: { tasks: CommandClient<TasksCommands>; close(): Promise<void> }[] = []
  try {
    for (let n = 0; n < torture.replicas; n++) processes.push(await startProcess('tasks', database.url))
    for (const { internalUrl } of processes) clients.push(connect(internalUrl))
    await query(database.url, witness)
    const startedAt = performance.now()
    const locked = await carryOut(
      torture,
      clients.map(({ tasks }) => tasks),
    )
    const seconds = Math.round((performance.now() - startedAt) / 100) / 10
    const steps = (await query(database.url, 'select task, state from tasks.witness order by n')) as Step[]
    return { ...torture, seconds, ...findViolations(locked, steps) }
  } finally {
    await Promise.all(clients.map((client) => client.close()))
    await Promise.all(processes.map((one) => one.stop()))
    await database.drop()
  }
}

async function carryOut(torture: Torture, clients: CommandClient<TasksCommands>[]): Promise<Locked[]> {
  const random = randomOf(torture.seed)
  const below = (end: number) => Math.floor(random() * end)
  const client = () => clients[below(clients.length)] as CommandClient<TasksCommands>
  const made: Locked[] = []
  let left = torture.tasks
  const make = async () => {
    while (left-- > 0) {
      const locks = new Map<string, boolean>()
      for (let n = below(mostLocks) + 1; n > 0; n--) locks.set(`r${below(torture.resources)}`, random() < 0.4)
      const named = (exclusive: boolean) => [...locks].filter(([, alone]) => alone === exclusive).map(([name]) => name)
      const [id, from] = [randomUUID(), performance.now()]
      const modes = { exclusive: named(true), shared: named(false) }
      const actor = { id: null, name: 'torture' }
      const kind = kinds[below(kinds.length)] ?? ''
      await client().call('create-task', { id, kind, payload: null, ...modes, actor })
      made.push({ id, locks, from, until: performance.now() })
    }
  }
  let ended = 0
  const until = performance.now() + patienceMs
  const claim = async (worker: string, kind: string) => {
    while (ended < torture.tasks && performance.now() < until) {
      const tasks = client()
      const { task } = await tasks.call('claim-task', { kinds: [kind], worker, leaseSeconds: 60 })
      if (!task) {
        await pause(5)
        continue
      }
      await pause(random() * longestWorkMs)
      await client().call('finish-task', { id: task.id, fence: task.fence, state: 'completed' })
      ended++
    }
  }
  const claimers = Array.from({ length: torture.claimers }, (_, n) =>
    claim(`claimer-${n}`, kinds[n % kinds.length] ?? ''),
  )
  await Promise.all([...Array.from({ length: makers }, make), ...claimers])
  if (ended < torture.tasks) throw new Error(`${torture.tasks - ended} tasks were never claimed`)
  return made
}
