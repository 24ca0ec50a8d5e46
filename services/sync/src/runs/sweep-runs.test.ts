import { randomUUID } from 'node:crypto'
import { type CommandClient, commandsOf, type TasksCommands } from '@berth/commands'
import { applyMigrations, createInternalClient, type Database, type InternalClient, openDatabase } from '@berth/service'
import {
  makeDatabase,
  privateKeyOf,
  type ServiceProcess,
  startProcess,
  type TestDatabase,
} from '@berth/service/testing'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { openPrisma } from '../db/client.ts'
import { schemaParts } from '../db/schema-parts.ts'
import { recordSuccess } from '../steps/record-run.ts'
import { endLostRuns, forgetOldRuns } from './sweep-runs.ts'

let database: TestDatabase
let db: Database
let peer: ServiceProcess
let client: InternalClient
let tasks: CommandClient<TasksCommands>
const { signal } = new AbortController()

beforeAll(async () => {
  database = await makeDatabase()
  await applyMigrations({ url: database.url, schema: 'sync', parts: schemaParts })
  db = openDatabase({ url: database.url, schema: 'sync' })
  peer = await startProcess('tasks', database.url)
  client = createInternalClient({
    baseUrl: peer.internalUrl,
    from: 'sync',
    to: 'tasks',
    privateKey: privateKeyOf('sync'),
  })
  tasks = commandsOf<TasksCommands>(client)
})
beforeEach(() => db.query('delete from sync_run'))
afterAll(async () => {
  await client?.close()
  await peer?.stop()
  await db?.close()
  await database?.drop()
})

type Row = {
  state?: string
  days?: number
  remoteId?: string
  repositoryId?: string
  dryRun?: boolean
  parent?: string
}

/** A run of so many days ago; answers the id of its task. */
async function addRun({ state = 'waiting', days = 1, ...more }: Row = {}): Promise<string> {
  const taskId = randomUUID()
  const ended = state !== 'waiting' && state !== 'running'
  await db.query(
    `insert into sync_run (id, task_id, remote_id, remote_name, repository_id, repository_name, mode, state, actor, dry_run, parent_task,
       created_at, finished_at)
     select gen_random_uuid(), $1, $2, 'hub', $3, 'team/tools', 'additive', $4, 'ann', $5, $6, at, case when $7 then at end
     from (select now() - make_interval(mins => $8::int) as at) as times`,
    [
      taskId,
      more.remoteId ?? randomUUID(),
      more.repositoryId ?? randomUUID(),
      state,
      more.dryRun ?? false,
      more.parent ?? null,
      ended,
      Math.round(days * 1_440),
    ],
  )
  return taskId
}
async function addTask(id: string, kind = `kind-${randomUUID()}`): Promise<string> {
  await tasks.call('create-task', {
    id,
    kind,
    payload: {},
    exclusive: [],
    shared: [],
    actor: { id: null, name: 'ann' },
  })
  return kind
}
async function addRemote(): Promise<string> {
  const [row] = await db.query<{ id: string }>(
    `insert into remote (name, url, upstream_name, policy, created_by)
     values (gen_random_uuid()::text, 'https://example.org', 'tools', 'immediate', 'ann') returning id`,
  )
  return row?.id ?? ''
}
async function stateOf(taskId: string) {
  const [row] = await db.query<{ state: string; error: { code: string } | null }>(
    'select state, error from sync_run where task_id = $1',
    [taskId],
  )
  return row
}

test('a run whose task was never queued ends, unless it began a moment ago', async () => {
  const [lost, young] = [await addRun(), await addRun({ days: 0 })]
  const ended: string[] = []
  await endLostRuns({ db, tasks }, { onEnded: (state) => ended.push(state), signal })
  expect(await stateOf(lost)).toMatchObject({ state: 'failed', error: { code: 'not_queued' } })
  expect(await stateOf(young)).toMatchObject({ state: 'waiting' })
  expect(ended).toEqual(['failed'])
})

test('a run whose task waits goes on, and one whose task ended unheard ends with its reason', async () => {
  const [waiting, ended] = [await addRun(), await addRun({ state: 'running' })]
  await addTask(waiting)
  const kind = await addTask(ended)
  const { task } = await tasks.call('claim-task', { kinds: [kind], worker: 'w', leaseSeconds: 60 })
  const error = { code: 'worker_lost', message: 'Its workers were lost.' }
  await tasks.call('finish-task', { id: ended, fence: task?.fence ?? 0, state: 'failed', error })
  await endLostRuns({ db, tasks }, { onEnded: () => {}, signal })
  expect(await stateOf(waiting)).toMatchObject({ state: 'waiting' })
  expect(await stateOf(ended)).toEqual({ state: 'failed', error })
})

test('a run of a group that goes on is left to the group, which queues it again', async () => {
  const group = randomUUID()
  await addTask(group)
  const [child, orphan] = [await addRun({ parent: group }), await addRun({ parent: randomUUID() })]
  await endLostRuns({ db, tasks }, { onEnded: () => {}, signal })
  expect(await stateOf(child)).toMatchObject({ state: 'waiting' })
  expect(await stateOf(orphan)).toMatchObject({ state: 'failed' })
})

test('runs that ended more than 90 days ago are forgotten, but not the last success of a remote that is there', async () => {
  const place = { remoteId: await addRemote(), repositoryId: randomUUID() }
  const kept = [
    await addRun({ ...place, state: 'completed', days: 100 }),
    await addRun({ ...place, state: 'failed', days: 89 }),
    await addRun({ ...place, repositoryId: randomUUID(), state: 'completed', days: 200 }),
    await addRun({ ...place, state: 'running', days: 100 }),
  ]
  const old = [
    await addRun({ ...place, state: 'completed', days: 101 }),
    await addRun({ ...place, state: 'failed', days: 91 }),
    await addRun({ ...place, state: 'completed', dryRun: true, days: 91 }),
    await addRun({ state: 'completed', days: 91 }),
  ]
  await forgetOldRuns(db, signal)
  const states = await Promise.all([...kept, ...old].map(stateOf))
  expect(states.map((row) => row !== undefined)).toEqual([...kept.map(() => true), ...old.map(() => false)])
})

test('a run of more than 24.8 days ends, and its event tells how long it took', async () => {
  const taskId = await addRun({ state: 'running', days: 40 })
  await db.query("update sync_run set started_at = now() - interval '30 days' where task_id = $1", [taskId])
  const run = await openPrisma(db).syncRun.findFirstOrThrow({ where: { taskId } })
  const nothing = {
    version: 1,
    created: false,
    bytesFetched: 0,
    bytesSaved: 0,
    tagsChecked: 0,
    failures: [],
    failureCount: 0,
    listComplete: true,
    skippedNames: [],
    companionsUnknown: 0,
  }
  const tags = { moved: [], removed: [], added: [] }
  await recordSuccess(db, run, { ...nothing, tags, tagCounts: { moved: 0, removed: 0, added: 0 } })
  expect(await stateOf(taskId)).toMatchObject({ state: 'completed' })
  const [row] = await db.query<{ ms: number }>(
    "select (event -> 'data' ->> 'durationMs')::float8 as ms from outbox where event -> 'data' ->> 'taskId' = $1",
    [taskId],
  )
  expect(row?.ms).toBeGreaterThan(2 ** 31)
})
