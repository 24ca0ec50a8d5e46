import { randomBytes, randomUUID } from 'node:crypto'
import type { TaskLine, TaskObject } from '@berth/commands'
import { makeDatabase, type ServiceProcess, startProcess, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import pg from 'pg'
import request from 'supertest'
import { type StartedTasks, startTasks } from '../testing/started.fixture.ts'

const password = 'the password of the admin'
let database: TestDatabase
let auth: ServiceProcess
let replica: StartedTasks
let sql: pg.Client
let admin: { id: string; name: string }

beforeAll(async () => {
  database = await makeDatabase()
  auth = await startProcess('auth', database.url, {
    BERTH_SECRETS_KEY: randomBytes(32).toString('base64'),
    BERTH_ADMIN_PASSWORD: password,
  })
  replica = await startTasks(database.url, { authUrl: auth.internalUrl })
  sql = new pg.Client({ connectionString: database.url, options: '-c search_path=tasks' })
  await sql.connect()
  await request(auth.url)
    .post('/api/v1/users')
    .auth('admin', password)
    .send({ name: 'ann', password: 'ann has this one' })
    .expect(201)
  const { body } = await request(auth.url).get('/api/v1/users').auth('admin', password).expect(200)
  admin = body.items.find(({ name }: { name: string }) => name === 'admin')
})
afterAll(async () => {
  await sql?.end()
  await replica?.stop()
  await auth?.stop()
  await database?.drop()
})

/** Queues a task of the administrator's and claims it. */
async function begin(on: TaskObject[] = []) {
  const kind = `log-${randomUUID()}`
  const id = randomUUID()
  const actor = { id: admin.id, name: 'admin' }
  await replica.tasks.call('create-task', { id, kind, payload: {}, exclusive: [], shared: [], actor, on })
  const claim = async () => {
    const { task } = await replica.tasks.call('claim-task', { kinds: [kind], worker: 'w', leaseSeconds: 60 })
    if (!task) throw new Error('there is no task to claim')
    return task.fence
  }
  return { id, claim, fence: await claim() }
}

const line = (message: string, detail?: string): TaskLine => {
  const at = new Date().toISOString()
  return { at, level: 'info', message, ...(detail === undefined ? {} : { detail }) }
}
const lines = (first: number, count: number) => Array.from({ length: count }, (_, n) => line(`line ${first + n}`))

async function read(id: string, query = '', login: [string, string] = ['admin', password]) {
  const path = `/api/v1/tasks/${id}/log?${query}`
  const { body } = await request(replica.url).get(path).auth(login[0], login[1]).expect(200)
  return body as { items: { level: string; message: string; detail: string | null }[]; next: string | null }
}

test('a log is read by pages in its order, over several attempts; a line that is sent twice is there once', async () => {
  const { id, fence, claim } = await begin()
  const renew = { id, fence, leaseSeconds: 60 }
  await replica.tasks.call('renew-task', { ...renew, log: { first: 0, lines: lines(0, 3) } })
  await replica.tasks.call('renew-task', { ...renew, log: { first: 0, lines: lines(0, 5) } })
  const error = { code: 'database_unavailable', message: 'away' }
  await replica.tasks.call('put-back-task', { id, fence, error, log: { first: 5, lines: [line('put back')] } })
  await sql.query('update task set not_before = now() where id = $1', [id])
  const again = await claim()
  const end = {
    id,
    fence: again,
    state: 'completed' as const,
    log: { first: 0, lines: [line('second'), line('done')] },
  }
  await replica.tasks.call('finish-task', end)
  await replica.tasks.call('finish-task', end)
  const told: string[] = []
  for (let cursor = ''; ; ) {
    const page = await read(id, `limit=3${cursor}`)
    told.push(...page.items.map(({ message }) => message))
    if (page.next === null) break
    cursor = `&cursor=${page.next}`
  }
  expect(told).toEqual(['line 0', 'line 1', 'line 2', 'line 3', 'line 4', 'put back', 'second', 'done'])
  await request(replica.url).get(`/api/v1/tasks/${id}/log?cursor=bm8`).auth('admin', password).expect(400)
})

test('a worker that lost its task adds no line, and the log says that it was lost', async () => {
  const { id, fence, claim } = await begin()
  await sql.query("update task set lease_until = now() - interval '1 second' where id = $1", [id])
  const told = async () => (await read(id)).items.map(({ message }) => message)
  while ((await told()).length === 0);
  const late = { id, fence, leaseSeconds: 60, log: { first: 0, lines: [line('late')] } }
  await expect(replica.tasks.call('renew-task', late)).rejects.toMatchObject({ code: 'task_lost' })
  await claim()
  await expect(replica.tasks.call('renew-task', late)).rejects.toMatchObject({ code: 'task_lost' })
  expect(await told()).toEqual(['the worker of attempt 1 was lost'])
})

test('of a task 10,000 lines of 4 KiB are kept, the last of which says so, and they go with it', async () => {
  const { id, fence } = await begin()
  const send = (first: number, some: TaskLine[]) =>
    replica.tasks.call('renew-task', { id, fence, leaseSeconds: 60, log: { first, lines: some } })
  await send(0, [line('é'.repeat(5_000)), line('much', `a\0${'é'.repeat(5_000)}`), ...lines(2, 9_996)])
  await send(9_998, lines(9_998, 5))
  await send(10_003, lines(10_003, 5))
  const [first, second] = (await read(id, 'limit=2')).items
  expect(first).toMatchObject({ message: 'é'.repeat(2_048), detail: null })
  expect(second?.detail).toBe(`a${'é'.repeat(2_045)}`)
  const kept = async () => {
    const { rows } = await sql.query(
      'select count(*)::integer as count, (array_agg(message order by fence desc, place desc))[1] as last from task_log where task = $1',
      [id],
    )
    return rows[0]
  }
  expect(await kept()).toMatchObject({ count: 10_000, last: expect.stringContaining('cut here') })
  await replica.tasks.call('finish-task', { id, fence, state: 'failed' })
  const purge = request(replica.url).post('/api/v1/tasks/purge').auth('admin', password)
  await purge.send({ states: ['failed'], olderThanDays: 0 }).expect(200)
  expect(await kept()).toMatchObject({ count: 0 })
})

test('a log is read by who sees the task, and what an upstream said in it by who may use the remote', async () => {
  const object = { id: randomUUID(), ownerId: null }
  const { id, fence } = await begin([
    { kind: 'repository', name: 'logged/app', ...object },
    { kind: 'remote', name: 'logged-hub', ...object },
  ])
  const log = { first: 0, lines: [line('tried again', 'registry.internal answered 500')] }
  await replica.tasks.call('renew-task', { id, fence, leaseSeconds: 60, log })
  const path = `/api/v1/tasks/${id}/log`
  await request(replica.url).get(path).expect(401)
  await request(replica.url).get(path).auth('ann', 'ann has this one').expect(404)
  const ann: [string, string] = ['ann', 'ann has this one']
  const give = (role: string, on: string) =>
    request(auth.url)
      .post('/api/v1/grants')
      .auth('admin', password)
      .send({ to: { user: 'ann' }, role, on })
      .expect(201)
  await give('puller', 'logged/*')
  await give('puller', 'namespace:logged-hub')
  expect((await read(id, '', ann)).items).toMatchObject([{ message: 'tried again', detail: null }])
  await give('maintainer', 'namespace:logged-hub')
  expect((await read(id, '', ann)).items).toMatchObject([{ detail: 'registry.internal answered 500' }])
})
