import path from 'node:path'
import { freePort } from '@berth/standalone/children'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { query } from '../berth/databases.ts'
import { type EventsPlace, embeddedNats, waitForEvent } from '../berth/events.ts'
import { processesOn, until } from '../berth/processes.ts'
import { pushRandomImage, type Target } from '../berth/push.ts'
import { basic, getManifest, localRemote, make, repositoryPath, sync } from '../berth/requests.ts'
import { startTestStack, type TestStack } from '../berth/stack.ts'
import { startNatsAt } from '../servers/nats.ts'
import { missingPrograms } from '../servers/programs.ts'
import { startDockerRegistry, type Upstream } from '../servers/upstream.ts'

const missing = missingPrograms('docker-registry')
const group = missing.length > 0 ? describe.skip : describe

group(`with NATS away${missing.length > 0 ? ` (not installed: ${missing.join(', ')})` : ''}`, () => {
  let upstream: Upstream
  beforeAll(async () => {
    upstream = await startDockerRegistry()
    await pushRandomImage({ url: upstream.url }, 'app', 'one')
  })
  afterAll(() => upstream?.stop())

  test('killed: pulls and pushes go on, a sync asked for gets done, and every event arrives after, in a store that was wiped', async () => {
    const port = await freePort()
    let nats = await startNatsAt(port)
    const natsUrl = `nats://127.0.0.1:${port}`
    const stack = await startTestStack({ external: { natsUrl } })
    try {
      await prepare(stack, upstream)
      await nats.stop()
      const done = await work(stack)
      // A server that comes back with nothing of what it had.
      nats = await startNatsAt(port)
      await expectEvents(stack, { url: natsUrl }, done)
    } finally {
      await stack.stop()
      await nats.stop()
    }
  }, 120_000)

  test('hung: pulls and pushes go on, a sync asked for gets done, and every event arrives after', async () => {
    const stack = await startTestStack()
    try {
      await prepare(stack, upstream)
      const nats = processesOn(path.join(stack.home, 'nats')).find(({ command }) => command.includes('--config'))
      expect(nats).toBeDefined()
      const { pid } = nats as { pid: number }
      process.kill(pid, 'SIGSTOP')
      const done = await work(stack).finally(() => process.kill(pid, 'SIGCONT'))
      await expectEvents(stack, embeddedNats(stack.home), done)
    } finally {
      await stack.stop()
    }
  }, 120_000)
})

const targetOf = (stack: TestStack): Target => ({ url: stack.url, authorization: basic(stack) })

async function prepare(stack: TestStack, upstream: Upstream): Promise<void> {
  await make(stack, '/remotes', localRemote('upstream', upstream.url, 'app'))
  await make(stack, '/repositories', { name: 'mirror' })
  await pushRandomImage(targetOf(stack), 'pushed', 'before')
}

type Done = { runTask: string; mirror: string; pushed: string }

/** What must go on with NATS away. */
async function work(stack: TestStack): Promise<Done> {
  const image = await pushRandomImage(targetOf(stack), 'pushed', 'meanwhile')
  for (const tag of ['before', 'meanwhile'])
    expect((await getManifest(`${stack.url}/v2/pushed/manifests/${tag}`, stack)).status).toBe(200)
  const served = await getManifest(`${stack.url}/v2/pushed/manifests/meanwhile`, stack)
  expect(served.digest).toBe(image.digest)
  const task = await sync(stack, 'mirror', 'upstream')
  expect(task.result).toMatchObject({ version: 1, created: true })
  await pushRandomImage(targetOf(stack), 'pushed', 'last')
  const [mirror, pushed] = await Promise.all(
    ['mirror', 'pushed'].map(async (name) => (await stack.api('GET', repositoryPath(name))).body.id as string),
  )
  return { runTask: task.id, mirror: mirror as string, pushed: pushed as string }
}

async function expectEvents(stack: TestStack, events: EventsPlace, done: Done): Promise<void> {
  const run = await waitForEvent(events, 'SYNC', `berth.v1.sync.run.completed.${done.mirror}`)
  expect(run.data).toMatchObject({ taskId: done.runTask, version: 1 })
  for (const version of [2, 3])
    await waitForEvent(
      events,
      'CATALOG',
      `berth.v1.catalog.version.created.${done.pushed}`,
      (event) => (event.data as { number: number }).number === version,
    )
  await expectLogged(stack)
  expect((await stack.api('GET', '/me')).status).toBe(200)
}

/** The log of events follows all services, as any subscriber does: it has each of their events once, and in their order. */
async function expectLogged(stack: TestStack): Promise<void> {
  const sources = ['auth', 'catalog', 'registry', 'sync', 'tasks']
  const announced = sources
    .map((source) => `select '${source}' as source, position, id from ${source}.outbox`)
    .join(' union all ')
  const difference = `
    with announced as (${announced}),
    logged as (
      select id as place, source, (event ->> 'sequence')::bigint as position, (event ->> 'id')::uuid as id
      from tasks.event_log)
    select source, position, count(logged.id)::integer as times
    from announced
    full join logged using (source, position, id)
    group by source, position
    having count(logged.id) <> 1
    union all
    select later.source, later.position, -1
    from logged as later
    join logged as earlier on earlier.source = later.source and earlier.position < later.position
    where earlier.place > later.place`
  await until('each event is logged once', async () => (await query(stack.databaseUrl ?? '', difference)).length === 0)
}
