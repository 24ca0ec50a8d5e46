import { randomUUID } from 'node:crypto'
import { connectBus } from '@berth/bus'
import { commandsOf, type TasksCommands } from '@berth/commands'
import {
  closeServer,
  createInternalClient,
  createInternalServer,
  createLogger,
  type InternalHandler,
  type Logger,
  listen,
} from '@berth/service'
import { privateKeyOf, publicKeys, testServers } from '@berth/service/testing'
import { afterEach, expect, test } from '@jest/globals'
import { startWorker, type Work } from './work.ts'

const silent = createLogger({ service: 'test', silent: true })
// SIGTERM ends Berth within 10 s, and a worker is a part of what has to stop.
const stopWithinMs = 5_000
const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

/** A worker with one task to do. */
async function workerOn(work: Work) {
  const task = {
    id: randomUUID(),
    kind: `kind-${randomUUID()}`,
    payload: {},
    fence: 1,
    attempt: 1,
    actor: { id: null, name: 'admin' },
  }
  const waiting = [task]
  const commands: Record<string, InternalHandler> = {
    'claim-task': async () => ({ task: waiting.shift() ?? null }),
    'renew-task': async () => ({ cancelled: false }),
  }
  const tasks = createInternalServer({ service: 'tasks', publicKeys, log: silent, commands })
  const { server, port } = await listen(tasks, { port: 0, host: '127.0.0.1' })
  closing.push(() => closeServer(server, 0))
  const client = createInternalClient({
    baseUrl: `http://127.0.0.1:${port}`,
    from: 'test',
    to: 'tasks',
    privateKey: privateKeyOf('test'),
  })
  closing.push(() => client.close())
  const bus = await connectBus({ url: testServers().natsUrl, name: 'worker-test', log: silent })
  closing.push(() => bus.close())
  const warnings: { message: string; taskIds?: unknown }[] = []
  const log: Logger = { ...silent, warn: (message, fields) => void warnings.push({ message, ...fields }) }
  const worker = startWorker({
    tasks: commandsOf<TasksCommands>(client),
    bus,
    name: 'test',
    works: { [task.kind]: work },
    leaseSeconds: 15,
    log,
  })
  return { task, warnings, stop: () => worker.stop() }
}

test('work that ignores its signal does not hold up the stop, and is left to its lease', async () => {
  const begun = Promise.withResolvers<void>()
  const { task, warnings, stop } = await workerOn(() => {
    begun.resolve()
    return new Promise(() => {})
  })
  await begun.promise
  const startedAt = performance.now()
  await stop()
  expect(performance.now() - startedAt).toBeLessThan(stopWithinMs)
  expect(warnings.filter(({ taskIds }) => taskIds)).toMatchObject([{ taskIds: [task.id] }])
})

test('work that heeds its signal is waited for, and nothing is said', async () => {
  const begun = Promise.withResolvers<void>()
  let tidied = false
  const { warnings, stop } = await workerOn(async (_task, { signal }) => {
    begun.resolve()
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    await new Promise(setImmediate)
    tidied = true
    return { state: 'cancelled' }
  })
  await begun.promise
  await stop()
  expect(tidied).toBe(true)
  expect(warnings).toEqual([])
})
