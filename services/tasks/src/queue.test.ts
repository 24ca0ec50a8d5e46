import { randomUUID } from 'node:crypto'
import { openDatabase } from '@berth/service'
import { makeDatabase, type TestDatabase, until } from '@berth/service/testing'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import pg from 'pg'
import { forgetTasks } from './queue/forget.ts'
import { type StartedTasks, startTasks } from './testing/started.fixture.ts'

let database: TestDatabase
let one: StartedTasks
let other: StartedTasks
let sql: pg.Client
let kind: string

beforeAll(async () => {
  database = await makeDatabase()
  ;[one, other] = await Promise.all([startTasks(database.url), startTasks(database.url)])
  sql = new pg.Client({ connectionString: database.url, options: '-c search_path=tasks' })
  await sql.connect()
})
beforeEach(() => {
  kind = `kind-${randomUUID()}`
})
afterAll(async () => {
  await sql?.end()
  await Promise.all([one?.stop(), other?.stop()])
  await database?.drop()
})

type Locks = { exclusive?: string[]; shared?: string[] }

async function queue({ exclusive = [], shared = [] }: Locks = {}): Promise<string> {
  const id = randomUUID()
  await one.tasks.call('create-task', {
    id,
    kind,
    payload: { of: id },
    exclusive,
    shared,
    actor: { id: null, name: 'ann' },
  })
  return id
}

async function claim(from: StartedTasks = one, leaseSeconds = 60) {
  const { task } = await from.tasks.call('claim-task', { kinds: [kind], worker: randomUUID(), leaseSeconds })
  return task
}

async function must(from: StartedTasks = one, leaseSeconds = 60) {
  const task = await claim(from, leaseSeconds)
  if (!task) throw new Error('there is no task to claim')
  return task
}

async function stateOf(id: string) {
  const { rows } = await sql.query<{ state: string; error: { code: string } | null; attempt: number }>(
    'select state, error, attempt from task where id = $1',
    [id],
  )
  if (!rows[0]) throw new Error(`there is no task ${id}`)
  return rows[0]
}

/** As if the lease had run out; the sweeper of a replica notices. */
async function loseWorker(id: string): Promise<void> {
  await sql.query("update task set lease_until = now() - interval '1 second' where id = $1 and state = 'running'", [id])
  await until(async () => (await stateOf(id)).state !== 'running')
}

test('tasks come out in the order in which they went in', async () => {
  const ids = [await queue(), await queue(), await queue()]
  expect([(await must()).id, (await must(other)).id, (await must()).id]).toEqual(ids)
  expect(await claim()).toBeNull()
})

test('making a task twice under one id makes one', async () => {
  const request = { id: randomUUID(), kind, payload: 1, exclusive: ['r'], shared: [], actor: { id: null, name: 'ann' } }
  const replies = await Promise.all(
    [one, other, one, other].map((replica) => replica.tasks.call('create-task', request)),
  )
  expect(new Set(replies.map(({ task }) => task.id)).size).toBe(1)
  expect((await must()).id).toBe(request.id)
  expect(await claim(other)).toBeNull()
})

test('who locks a resource alone keeps later ones waiting, and they get it first come', async () => {
  const resource = randomUUID()
  const [first, reader, writer] = [
    await queue({ exclusive: [resource] }),
    await queue({ shared: [resource] }),
    await queue({ exclusive: [resource] }),
  ]
  const lateReader = await queue({ shared: [resource] })
  const free = await queue()
  const held = await must()
  expect(held.id).toBe(first)
  expect((await must()).id).toBe(free)
  expect(await claim()).toBeNull()
  await one.tasks.call('finish-task', { id: first, fence: held.fence, state: 'completed' })
  const reading = await must(other)
  expect(reading.id).toBe(reader)
  // The late reader could share with the reader, but the writer came before it.
  expect(await claim()).toBeNull()
  await one.tasks.call('finish-task', { id: reader, fence: reading.fence, state: 'completed' })
  const writing = await must()
  expect(writing.id).toBe(writer)
  expect(await claim()).toBeNull()
  await one.tasks.call('finish-task', {
    id: writer,
    fence: writing.fence,
    state: 'failed',
    error: { code: 'x', message: 'y' },
  })
  expect((await must()).id).toBe(lateReader)
})

test('those who share a resource run side by side', async () => {
  const resource = randomUUID()
  await queue({ shared: [resource] })
  await queue({ shared: [resource] })
  await must()
  expect(await claim(other)).not.toBeNull()
})

test('thousands that wait do not make a claim slow, also when they have only just come', async () => {
  const resources = Array.from({ length: 50 }, (_, n) => `crowd-${n}-${kind}`)
  await sql.query(
    `insert into task (id, kind, payload, actor, resources)
     select gen_random_uuid(), $1, '{}', 'ann', array[($2::text[])[1 + n % 50], ($2::text[])[1 + (n * 7 + 1) % 50]]
     from generate_series(1, 6000) as n`,
    [kind, resources],
  )
  await sql.query(
    `insert into task_resource (task, seq, resource, exclusive)
     select distinct id, seq, resource, seq % 3 = 0
     from task
     cross join unnest(resources) as resource
     where kind = $1`,
    [kind],
  )
  while (await claim());
  const startedAt = performance.now()
  expect(await claim()).toBeNull()
  expect(performance.now() - startedAt).toBeLessThan(1_000)
})

test('workers racing on two replicas never hold one resource at once, and none is left over', async () => {
  const resources = ['a', 'b', 'c'].map((name) => `${name}-${kind}`)
  const ids = await Promise.all(
    Array.from({ length: 30 }, (_, place) => queue({ exclusive: [resources[place % 3] ?? ''], shared: [`s-${kind}`] })),
  )
  const held = new Set<string>()
  const done: string[] = []
  const work = async (replica: StartedTasks) => {
    while (done.length < ids.length) {
      const task = await claim(replica)
      if (!task) continue
      const { rows } = await sql.query('select resource from task_resource where task = $1 and exclusive', [task.id])
      const resource = String(rows[0]?.resource)
      expect(held.has(resource)).toBe(false)
      held.add(resource)
      await replica.tasks.call('renew-task', { id: task.id, fence: task.fence, leaseSeconds: 60 })
      held.delete(resource)
      done.push(task.id)
      await replica.tasks.call('finish-task', { id: task.id, fence: task.fence, state: 'completed' })
    }
  }
  await Promise.all([work(one), work(other), work(one), work(other)])
  expect(done.toSorted()).toEqual(ids.toSorted())
})

test('the task of a lost worker runs again, and the late worker can write no more', async () => {
  const id = await queue({ exclusive: [randomUUID()] })
  const late = await must(one, 1)
  await loseWorker(id)
  const again = await must(other)
  expect(again).toMatchObject({ id, attempt: 2, fence: late.fence + 1, payload: { of: id } })
  const lost = { status: 409, code: 'task_lost' }
  await expect(one.tasks.call('renew-task', { id, fence: late.fence, leaseSeconds: 60 })).rejects.toMatchObject(lost)
  await expect(one.tasks.call('finish-task', { id, fence: late.fence, state: 'completed' })).rejects.toMatchObject(lost)
  expect((await stateOf(id)).state).toBe('running')
  await one.tasks.call('finish-task', { id, fence: again.fence, state: 'completed', result: { n: 1 } })
  await one.tasks.call('finish-task', { id, fence: again.fence, state: 'completed', result: { n: 1 } })
  await expect(one.tasks.call('finish-task', { id, fence: again.fence, state: 'failed' })).rejects.toMatchObject(lost)
})

test('a task that loses five workers in a row without getting on has failed with worker_lost and frees its resources', async () => {
  const resource = randomUUID()
  const id = await queue({ exclusive: [resource] })
  const next = await queue({ exclusive: [resource] })
  for (let attempt = 1; attempt <= 5; attempt++) {
    expect(await must()).toMatchObject({ id, attempt })
    await loseWorker(id)
  }
  expect(await stateOf(id)).toMatchObject({ state: 'failed', error: { code: 'worker_lost' }, attempt: 5 })
  expect((await must()).id).toBe(next)
})

test('workers that got further than all before them are lost without end, and do not make a task fail', async () => {
  const id = await queue()
  const lose = async (blobs: number) => {
    const { fence } = await must()
    const phase = (name: string, done: number) => ({ phase: name, done, total: 1_000, unit: name })
    const progress = [phase('blobs', blobs), phase('bytes', 1_000 + blobs * blobs)]
    await one.tasks.call('renew-task', { id, fence, leaseSeconds: 60, progress })
    await loseWorker(id)
  }
  for (let attempt = 1; attempt <= 6; attempt++) await lose(attempt)
  for (let attempt = 1; attempt <= 4; attempt++) await lose(6 - attempt)
  expect(await stateOf(id)).toMatchObject({ state: 'waiting', attempt: 10 })
  await lose(6)
  expect(await stateOf(id)).toMatchObject({ state: 'failed', error: { code: 'worker_lost' } })
})

test('a heartbeat keeps a task longer than its first lease and notes its progress', async () => {
  const id = await queue()
  const task = await must(one, 1)
  const progress = [{ phase: 'copy', done: 1, total: 2, unit: 'blobs' }]
  await one.tasks.call('renew-task', { id, fence: task.fence, leaseSeconds: 60, progress })
  const { rows } = await sql.query(
    "select lease_until > now() + interval '50 seconds' as long, progress from task where id = $1",
    [id],
  )
  expect(rows[0]).toEqual({ long: true, progress })
})

test('each state of a task is announced once, in order', async () => {
  const id = await queue()
  const task = await must()
  await one.tasks.call('finish-task', { id, fence: task.fence, state: 'completed' })
  const kinds = async () => {
    const { rows } = await sql.query<{ event: { type: string } }>(
      "select event from outbox where event #>> '{data,taskId}' = $1 and position is not null order by position",
      [id],
    )
    return rows.map((row) => row.event.type)
  }
  await until(async () => (await kinds()).length === 3)
  expect(await kinds()).toEqual(['queued', 'started', 'completed'].map((verb) => `dev.berth.tasks.task.${verb}.v1`))
  const { rows } = await sql.query(
    "select position from outbox where event #>> '{data,taskId}' = $1 order by position limit 1",
    [id],
  )
  const { events } = await other.tasks.call('list-events', { after: Number(rows[0]?.position) - 1 })
  expect(events[0]?.event).toMatchObject({ data: { taskId: id, state: 'waiting' } })
})

test('a task whose work met something that is away is tried again five times, later each time, and then has failed', async () => {
  const id = await queue()
  const error = { code: 'database_unavailable', message: 'PostgreSQL does not answer.' }
  for (let time = 1; time <= 6; time++) {
    const task = await must()
    await one.tasks.call('put-back-task', { id, fence: task.fence, error })
    if (time === 6) break
    expect(await claim()).toBeNull()
    const { rows } = await sql.query<{ seconds: number }>(
      'select extract(epoch from not_before - now())::float8 as seconds from task where id = $1',
      [id],
    )
    expect(rows[0]?.seconds).toBeGreaterThan(2 ** (time - 1) - 0.9)
    await sql.query('update task set not_before = now() where id = $1', [id])
  }
  expect(await stateOf(id)).toMatchObject({ state: 'failed', error })
})

test('a task that was to be cancelled is not tried again', async () => {
  const id = await queue()
  const { fence } = await must()
  await sql.query('update task set cancel_requested = true where id = $1', [id])
  await one.tasks.call('put-back-task', { id, fence, error: { code: 'database_unavailable', message: 'away' } })
  expect(await stateOf(id)).toMatchObject({ state: 'cancelled' })
})

test('tasks that ended long ago are forgotten, those of a group before it, and others are not', async () => {
  const parent = await queue()
  const own = randomUUID()
  await one.tasks.call('create-task', {
    id: own,
    kind,
    payload: {},
    exclusive: [],
    shared: [],
    actor: { id: null, name: 'ann' },
    parent,
  })
  const [recent, waiting] = [await queue(), await queue()]
  await sql.query("update task set state = 'completed', finished_at = now() - interval '31 days' where id = any($1)", [
    [parent, own],
  ])
  await sql.query("update task set state = 'failed', finished_at = now() - interval '29 days' where id = $1", [recent])
  await sql.query("update task set created_at = now() - interval '40 days' where id = $1", [waiting])
  const db = openDatabase({ url: database.url, schema: 'tasks' })
  try {
    await forgetTasks(db, 30, AbortSignal.timeout(60_000))
  } finally {
    await db.close()
  }
  const { rows } = await sql.query<{ id: string }>('select id from task where kind = $1 order by seq', [kind])
  expect(rows.map(({ id }) => id)).toEqual([recent, waiting])
})
