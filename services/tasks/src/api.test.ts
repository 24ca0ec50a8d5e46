import { randomBytes, randomUUID } from 'node:crypto'
import type { Task, TaskObject } from '@berth/commands'
import { makeDatabase, type ServiceProcess, startProcess, type TestDatabase, until } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import request from 'supertest'
import { type StartedTasks, startTasks } from './testing/started.fixture.ts'

const password = 'the password of the admin'
let database: TestDatabase
let auth: ServiceProcess
let one: StartedTasks
let other: StartedTasks
const accountIds = new Map<string, string>()

beforeAll(async () => {
  database = await makeDatabase()
  auth = await startProcess('auth', database.url, {
    BERTH_SECRETS_KEY: randomBytes(32).toString('base64'),
    BERTH_ADMIN_PASSWORD: password,
  })
  ;[one, other] = [
    await startTasks(database.url, { authUrl: auth.internalUrl }),
    await startTasks(database.url, { authUrl: auth.internalUrl }),
  ]
  await request(auth.url)
    .post('/api/v1/users')
    .auth('admin', password)
    .send({ name: 'ann', password: 'ann has this one' })
    .expect(201)
  const { body } = await request(auth.url).get('/api/v1/users').auth('admin', password).expect(200)
  for (const { id, name } of body.items) accountIds.set(name, id)
})
afterAll(async () => {
  await Promise.all([one?.stop(), other?.stop()])
  await auth?.stop()
  await database?.drop()
})

async function queue(kind: string, name = 'admin', exclusive: string[] = [], parent?: string): Promise<string> {
  const id = randomUUID()
  await one.tasks.call('create-task', {
    id,
    kind,
    payload: {},
    exclusive,
    shared: [],
    actor: { id: accountIds.get(name) ?? null, name },
    ...(parent ? { parent } : {}),
  })
  return id
}

type On = Partial<TaskObject> & { name: string }
/** Queues a task that works on some things, for an administrator. */
async function queueOn(kind: string, ...on: On[]): Promise<string> {
  const id = randomUUID()
  const actor = { id: accountIds.get('admin') ?? null, name: 'admin' }
  const objects = on.map((object) => ({ kind: 'repository' as const, id: randomUUID(), ownerId: null, ...object }))
  await one.tasks.call('create-task', { id, kind, payload: {}, exclusive: [], shared: [], actor, on: objects })
  return id
}

async function claim(kind: string) {
  const { task } = await one.tasks.call('claim-task', { kinds: [kind], worker: 'w', leaseSeconds: 60 })
  if (!task) throw new Error('there is no task to claim')
  return task
}

const asAdmin = (method: 'get' | 'post', path: string) =>
  request(one.url)[method](`/api/v1${path}`).auth('admin', password)

test('tasks are listed newest first, by pages, and found by state, kind, parent and resource', async () => {
  const kind = `list-${randomUUID()}`
  const ids = [await queue(kind), await queue(kind, 'admin', ['repository:x']), await queue(kind)]
  const running = await claim(kind)
  const first = await asAdmin('get', `/tasks?kind=${kind}&limit=2`).expect(200)
  expect(first.body.items.map((task: Task) => task.id)).toEqual([ids[2], ids[1]])
  const second = await asAdmin('get', `/tasks?kind=${kind}&limit=2&cursor=${first.body.next}`).expect(200)
  expect(second.body).toMatchObject({ items: [{ id: ids[0] }], next: null })
  const found = async (query: string) => (await asAdmin('get', `/tasks?kind=${kind}&${query}`).expect(200)).body.items
  expect(await found('state=running')).toMatchObject([{ id: running.id, startedAt: expect.any(String) }])
  expect(await found('q=repository:x')).toMatchObject([{ id: ids[1], resources: ['repository:x'] }])
  const part = await queue(kind, 'admin', [], ids[0])
  expect(await found(`parent=${ids[0]}`)).toMatchObject([{ id: part, parent: ids[0] }])
  await asAdmin('get', '/tasks?cursor=bm8').expect(400)
  await asAdmin('get', '/tasks?state=odd').expect(400)
  await asAdmin('get', '/tasks?parent=none').expect(400)
})

test('users see their own tasks and no others; nobody sees any without a login', async () => {
  const kind = `own-${randomUUID()}`
  const [mine, theirs] = [await queue(kind, 'ann'), await queue(kind)]
  const asAnn = (method: 'get' | 'post', path: string) =>
    request(one.url)[method](`/api/v1${path}`).auth('ann', 'ann has this one')
  expect((await asAnn('get', `/tasks?kind=${kind}`).expect(200)).body.items).toMatchObject([{ id: mine }])
  await asAnn('get', `/tasks/${theirs}`).expect(404)
  await asAnn('post', `/tasks/${theirs}/cancel`).expect(404)
  await asAnn('get', `/tasks/${mine}`).expect(200)
  await request(one.url).get(`/api/v1/tasks/${mine}`).expect(401)
  await asAdmin('get', '/tasks/no-uuid').expect(404)
})

test('who may read all that a task works on sees it; who may update tasks there cancels it', async () => {
  const kind = `on-${randomUUID()}`
  for (const [role, on] of [
    ['maintainer', 'kept/*'],
    ['puller', 'read/*'],
    ['puller', 'namespace:hubs'],
  ])
    await request(auth.url)
      .post('/api/v1/grants')
      .auth('admin', password)
      .send({ to: { user: 'ann' }, role, on })
      .expect(201)
  const remote = (name: string): On => ({ kind: 'remote', name })
  const own = accountIds.get('ann') ?? null
  const seen = [
    await queueOn(kind, { id: null, name: 'kept/new' }),
    await queueOn(kind, { name: 'kept/app' }, remote('hubs/one')),
    await queueOn(kind, { name: 'read/app' }),
    await queueOn(kind, { name: 'other/app', ownerId: own }),
  ]
  const unseen = [
    await queueOn(kind, { name: 'kept/app' }, remote('others/one')),
    await queueOn(kind, { name: 'keptother/app' }),
    await queueOn(kind, { name: 'kept/app' }, { name: 'other/app' }),
    await queueOn(kind),
  ]
  const asAnn = (method: 'get' | 'post', path: string) =>
    request(one.url)[method](`/api/v1${path}`).auth('ann', 'ann has this one')
  const { items } = (await asAnn('get', `/tasks?kind=${kind}`).expect(200)).body
  expect(items.map(({ id }: Task) => id)).toEqual(seen.toReversed())
  for (const id of seen) await asAnn('get', `/tasks/${id}`).expect(200)
  for (const id of unseen) await asAnn('get', `/tasks/${id}`).expect(404)
  for (const id of unseen) await asAnn('post', `/tasks/${id}/cancel`).expect(404)
  const statuses: number[] = []
  for (const id of seen) statuses.push((await asAnn('post', `/tasks/${id}/cancel`)).status)
  expect(statuses).toEqual([200, 403, 403, 200])
  expect((await asAnn('post', `/tasks/${seen[2]}/cancel`)).body.missing).toEqual({
    verb: 'task.update',
    role: 'maintainer',
  })
})

test('what an upstream said is told to who may use the remote, and the code of the error to all who see the task', async () => {
  const kind = `said-${randomUUID()}`
  for (const [role, on] of [
    ['puller', 'said/*'],
    ['puller', 'namespace:said-hub'],
  ])
    await request(auth.url)
      .post('/api/v1/grants')
      .auth('admin', password)
      .send({ to: { user: 'ann' }, role, on })
      .expect(201)
  await queueOn(kind, { name: 'said/app' }, { kind: 'remote', name: 'said-hub' })
  const { id, fence } = await claim(kind)
  const error = { code: 'upstream_failed', message: 'registry.internal answered 500' }
  await one.tasks.call('finish-task', { id, fence, state: 'failed', error })
  const asAnn = (path: string) => request(one.url).get(`/api/v1${path}`).auth('ann', 'ann has this one').expect(200)
  for (const path of [`/tasks?kind=${kind}`, `/tasks/${id}`, `/tasks/${id}/events`]) {
    const { text } = await asAnn(path)
    expect(text).toContain('upstream_failed')
    expect(text).not.toContain('registry.internal')
  }
  expect((await asAdmin('get', `/tasks/${id}`)).body.error).toEqual(error)
  await request(auth.url)
    .post('/api/v1/grants')
    .auth('admin', password)
    .send({ to: { user: 'ann' }, role: 'maintainer', on: 'namespace:said-hub' })
    .expect(201)
  expect((await asAnn(`/tasks/${id}`)).body.error).toEqual(error)
})

test('a retry waits for the same locks, in the same way, and works on the same', async () => {
  const kind = `retry-${randomUUID()}`
  const request = { kind, payload: { n: 1 }, actor: { id: accountIds.get('ann') ?? null, name: 'ann' } }
  const on: TaskObject[] = [{ kind: 'repository', id: null, name: 'retried/app', ownerId: null }]
  const locks = { exclusive: [`${kind}:own`], shared: [`${kind}:common`] }
  const id = randomUUID()
  await one.tasks.call('create-task', { id, ...request, ...locks, on })
  await asAdmin('post', `/tasks/${id}/retry`).send({}).expect(409)
  await asAdmin('post', `/tasks/${id}/cancel`).expect(200)
  const { body } = await asAdmin('post', `/tasks/${id}/retry`).send({ failedOnly: true }).expect(202)
  expect(body).toMatchObject({ kind, retryOf: id, state: 'waiting', resources: [`${kind}:common`, `${kind}:own`] })
  // Beside a reader of what is common it runs, and the next one that wants the same alone waits.
  await one.tasks.call('create-task', {
    ...request,
    id: randomUUID(),
    exclusive: [],
    shared: [`${kind}:common`],
  })
  await one.tasks.call('create-task', { ...request, id: randomUUID(), exclusive: [`${kind}:own`], shared: [] })
  expect(await claim(kind)).toMatchObject({ id: body.id, payload: { n: 1 }, retry: { of: id, failedOnly: true } })
  await claim(kind)
  expect((await one.tasks.call('claim-task', { kinds: [kind], worker: 'w', leaseSeconds: 60 })).task).toBeNull()
})

test('administrators have tasks forgotten that ended long ago, by their states', async () => {
  const kind = `purge-${randomUUID()}`
  const [parent, waiting] = [await queue(kind), await queue(kind)]
  const child = await queue(kind, 'admin', [], parent)
  for (const id of [parent, child]) await asAdmin('post', `/tasks/${id}/cancel`)
  const purge = (states: string[], olderThanDays: number) =>
    asAdmin('post', '/tasks/purge').send({ states, olderThanDays }).expect(200)
  const left = async () => (await asAdmin('get', `/tasks?kind=${kind}`)).body.items.map(({ id }: Task) => id)
  await purge(['completed'], 0)
  await purge(['cancelled'], 1)
  expect(await left()).toEqual([child, waiting, parent])
  await purge(['cancelled'], 0)
  expect(await left()).toEqual([waiting])
  await asAdmin('post', '/tasks/purge')
    .send({ states: ['waiting'], olderThanDays: 0 })
    .expect(400)
})

test('a list of dead letters names the services that do not answer', async () => {
  const { body } = await asAdmin('get', '/dead-letters').expect(200)
  expect(body).toEqual({ items: [], next: null, unavailable: ['catalog', 'registry', 'sync'] })
})

test('a waiting task says what it waits for, and hides what its reader may not see', async () => {
  const kind = `blocked-${randomUUID()}`
  const [held, common] = [`${kind}:held`, `${kind}:common`]
  const actor = { id: accountIds.get('ann') ?? null, name: 'ann' }
  const create = async (exclusive: string[], shared: string[], by = actor) => {
    const id = randomUUID()
    await one.tasks.call('create-task', { id, kind, payload: {}, exclusive, shared, actor: by })
    return id
  }
  const admin = { id: accountIds.get('admin') ?? null, name: 'admin' }
  const holder = await create([held], [common], admin)
  expect((await claim(kind)).id).toBe(holder)
  const first = await create([common], [])
  const second = await create([held, common], [])
  const asAnn = async (id: string) =>
    (await request(one.url).get(`/api/v1/tasks/${id}`).auth('ann', 'ann has this one').expect(200)).body.waitingFor
  // Of what is common the one that runs is in the way first, and of those that wait the earlier one.
  expect((await asAdmin('get', `/tasks/${second}`)).body.waitingFor).toEqual([
    { resource: common, task: holder, hidden: false },
    { resource: held, task: holder, hidden: false },
  ])
  const hidden = { resource: null, task: null, hidden: true }
  expect(await asAnn(first)).toEqual([hidden])
  expect(await asAnn(second)).toEqual([hidden, hidden])
  await one.tasks.call('finish-task', { id: holder, fence: 1, state: 'completed' })
  expect([await asAnn(first), await asAnn(second)]).toEqual([[], [{ resource: common, task: first, hidden: false }]])
  expect((await asAdmin('get', `/tasks/${holder}`)).body.waitingFor).toEqual([])
})

test('a waiting task is cancelled at once and clears the way; one that has ended cannot be', async () => {
  const kind = `cancel-${randomUUID()}`
  const [first, next] = [await queue(kind, 'admin', [kind]), await queue(kind, 'admin', [kind])]
  const { body } = await asAdmin('post', `/tasks/${first}/cancel`).expect(200)
  expect(body).toMatchObject({ id: first, state: 'cancelled', finishedAt: expect.any(String) })
  expect((await claim(kind)).id).toBe(next)
  const again = await asAdmin('post', `/tasks/${first}/cancel`).expect(409)
  expect(again.body.code).toBe('task_ended')
})

test('the worker of a running task learns of a cancel at its next heartbeat', async () => {
  const kind = `cancel-${randomUUID()}`
  const id = await queue(kind)
  const { fence } = await claim(kind)
  const beat = () => one.tasks.call('renew-task', { id, fence, leaseSeconds: 60 })
  expect(await beat()).toEqual({ cancelled: false })
  const { body } = await asAdmin('post', `/tasks/${id}/cancel`).expect(202).expect('location', `/api/v1/tasks/${id}`)
  expect(body.state).toBe('running')
  expect(await beat()).toEqual({ cancelled: true })
  await one.tasks.call('finish-task', { id, fence, state: 'cancelled' })
  expect((await asAdmin('get', `/tasks/${id}`)).body.state).toBe('cancelled')
})

test('an account watches at most a hundred tasks at once', async () => {
  const id = await queue(`watched-${randomUUID()}`)
  const headers = { authorization: `Basic ${Buffer.from(`admin:${password}`).toString('base64')}` }
  const gone = new AbortController()
  const open = () => fetch(`${one.url}/api/v1/tasks/${id}/events`, { headers, signal: gone.signal })
  const streams = await Promise.all(Array.from({ length: 101 }, open))
  const refused = streams.filter(({ status }) => status === 429)
  expect(refused.length).toBe(1)
  expect(await refused[0]?.json()).toMatchObject({ code: 'too_many_streams' })
  gone.abort()
  const reopened = async () => {
    const again = await fetch(`${one.url}/api/v1/tasks/${id}/events`, { headers })
    await again.body?.cancel()
    return again.status === 200
  }
  await until(reopened)
  await asAdmin('post', `/tasks/${id}/cancel`).expect(200)
})

/** Reads server-sent events; the reader answers undefined at the end of the stream. */
async function watch(replica: StartedTasks, id: string) {
  const response = await fetch(`${replica.url}/api/v1/tasks/${id}/events`, {
    headers: { authorization: `Basic ${Buffer.from(`admin:${password}`).toString('base64')}` },
  })
  expect(response.headers.get('content-type')).toContain('text/event-stream')
  const reader = (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream() as never).getReader()
  let buffered = ''
  return async (): Promise<Task | undefined> => {
    for (;;) {
      const end = buffered.indexOf('\n\n')
      if (end >= 0) {
        const data = /^data: (.*)$/m.exec(buffered.slice(0, end))?.[1]
        buffered = buffered.slice(end + 2)
        if (data) return JSON.parse(data) as Task
        continue
      }
      const { value, done } = await reader.read()
      if (done) return undefined
      buffered += String(value)
    }
  }
}

test('whoever watches a task, on any replica, is sent each change and the end', async () => {
  const kind = `watch-${randomUUID()}`
  const id = await queue(kind)
  const readers = [await watch(one, id), await watch(other, id)]
  const next = () => Promise.all(readers.map((read) => read()))
  expect((await next()).map((task) => task?.state)).toEqual(['waiting', 'waiting'])
  const { fence } = await claim(kind)
  expect((await next()).map((task) => task?.state)).toEqual(['running', 'running'])
  const progress = [{ phase: 'copy', done: 1, total: 2, unit: 'blobs' }]
  await one.tasks.call('renew-task', { id, fence, leaseSeconds: 60, progress })
  expect((await next()).map((task) => task?.progress)).toEqual([progress, progress])
  await one.tasks.call('finish-task', { id, fence, state: 'completed', result: { version: 3 } })
  expect((await next()).map((task) => task?.result)).toEqual([{ version: 3 }, { version: 3 }])
  expect(await next()).toEqual([undefined, undefined])
})

test('a service that stops ends the streams it holds', async () => {
  const third = await startTasks(database.url, { authUrl: auth.internalUrl })
  const read = await watch(third, await queue(`stop-${randomUUID()}`))
  expect((await read())?.state).toBe('waiting')
  await third.stop()
  expect(await read()).toBeUndefined()
})
