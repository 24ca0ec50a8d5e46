import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { CommandClient, TasksCommands } from '@berth/commands'
import { keyEnvironmentOf, makeDatabase, type ServiceProcess, startProcess, testServers } from '@berth/service/testing'
import { query } from '../berth/databases.ts'
import { connect } from './tasks-client.ts'

type EffectWorker = { pid: number; kill: () => Promise<void> }
export type Effects = {
  databaseUrl: string
  tasks: CommandClient<TasksCommands>
  workers: EffectWorker[]
  addWorker(): Promise<void>
  /** Kills a worker without warning and starts another one. */
  killWorker(place: number): Promise<void>
  /** Kills the service of tasks without warning and starts it again where it was. */
  killTasks(): Promise<void>
  stop(): Promise<void>
}

const leaseSeconds = 2

const tables = `
  create schema effects;
  create table effects.guard (task uuid primary key, fence bigint not null, done boolean not null default false);
  create table effects.effect (task uuid not null, fence bigint not null);
  create table effects.refused (task uuid not null, fence bigint not null);`

/** Starts the service of tasks as a process, and processes of workers whose effects can be counted. */
export async function startEffects(workerCount: number): Promise<Effects> {
  const database = await makeDatabase()
  await query(database.url, tables)
  let service = await startProcess('tasks', database.url)
  const client = connect(service.internalUrl)
  const workers: EffectWorker[] = []
  for (let n = 0; n < workerCount; n++) workers.push(await startWorkerProcess(database.url, service))
  return {
    databaseUrl: database.url,
    tasks: client.tasks,
    workers,
    addWorker: async () => void workers.push(await startWorkerProcess(database.url, service)),
    killWorker: async (place) => {
      await workers[place]?.kill()
      workers[place] = await startWorkerProcess(database.url, service)
    },
    killTasks: async () => {
      await service.kill()
      const [port, internalPort] = [new URL(service.url).port, new URL(service.internalUrl).port]
      service = await startProcess('tasks', database.url, { BERTH_PORT: port, BERTH_INTERNAL_PORT: internalPort })
    },
    stop: async () => {
      await client.close()
      await Promise.all(workers.map((worker) => worker.kill()))
      await service.stop()
      await database.drop()
    },
  }
}

async function startWorkerProcess(databaseUrl: string, service: ServiceProcess): Promise<EffectWorker> {
  const main = fileURLToPath(new URL('./effect-worker.ts', import.meta.url))
  const child = spawn(process.execPath, [main], {
    env: {
      PATH: process.env.PATH,
      NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE,
      BERTH_DATABASE_URL: databaseUrl,
      BERTH_NATS_URL: testServers().natsUrl,
      BERTH_TASK_LEASE_SECONDS: String(leaseSeconds),
      BERTH_TEST_TASKS: service.internalUrl,
      ...keyEnvironmentOf('sync'),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  ended.catch(() => 'told by kill')
  // It says one line, once it takes tasks.
  await Promise.race([once(child.stdout, 'data'), ended])
  const kill = async () => {
    child.kill('SIGKILL')
    await ended
  }
  return { pid: child.pid ?? 0, kill }
}
