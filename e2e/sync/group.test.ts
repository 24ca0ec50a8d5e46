import { hang, imageOf, wrongBytes } from '@berth/registry-client/misbehaving-upstream'
import { afterEach, beforeAll, expect, test } from '@jest/globals'
import type { TaskView } from '../berth/berth.ts'
import { until } from '../berth/processes.ts'
import { basic, localRemote, make, repositoryPath } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

const stack = withBerth()
const upstream = withUpstream()
beforeAll(async () => {
  for (const name of ['many/a', 'many/b', 'many/bad', 'other/x', 'other/y'])
    upstream.add(name, ['1', '2'], imageOf(name, 2_000))
}, 90_000)
afterEach(() => upstream.mend())

async function makeRemote(targetPrefix: string, upstreamNames: string[]): Promise<string> {
  const { upstreamName: _one, ...remote } = localRemote(targetPrefix, upstream.url, '', { retries: 0 }) as {
    upstreamName: string
  }
  await make(stack, '/remotes', { ...remote, upstreamNames, targetPrefix })
  return targetPrefix
}
async function start(remote: string, more: object = {}): Promise<TaskView> {
  const { status, body } = await stack.api('POST', '/syncs', { remote, ...more })
  expect({ status, body }).toMatchObject({ status: 202, body: { kind: 'sync-group' } })
  return body
}
const runsOf = async (task: TaskView) => {
  const { items } = (await stack.api('GET', '/syncs')).body
  return items.filter((run: { parent: string }) => run.parent === task.id)
}
const pull = async (name: string) => {
  const answer = await fetch(`${stack.url}/v2/${name}/manifests/1`, { headers: { authorization: basic(stack) } })
  return answer.headers.get('docker-content-digest')
}
const isThere = async (name: string) => (await stack.api('GET', repositoryPath(name))).status === 200

test('a remote of several repositories syncs each into its own, which is made and served', async () => {
  const remote = await makeRemote('mirrors', ['many/?', 'other/x', 'nothing/*'])
  const task = await stack.waitForTask((await start(remote)).id)
  expect(task).toMatchObject({ state: 'completed', result: { repositories: 3, completed: 3, failed: [] } })
  expect(task.progress).toEqual([{ phase: 'repositories', done: 3, total: 3, unit: 'repositories' }])
  for (const name of ['many/a', 'many/b', 'other/x'])
    expect(await pull(`mirrors/${name}`)).toBe(imageOf(name, 2_000).manifest.digest)
  expect(await isThere('mirrors/other/y')).toBe(false)
  const runs = await runsOf(task)
  expect(runs.map((run: { upstreamName: string }) => run.upstreamName).sort()).toEqual(['many/a', 'many/b', 'other/x'])
  const again = await stack.waitForTask((await start(remote, { mode: 'mirror' })).id)
  expect(again).toMatchObject({ state: 'completed', result: { completed: 3 } })
  expect((await runsOf(again)).map((run: { result: object }) => run.result)).toEqual(
    Array.from({ length: 3 }, () => expect.objectContaining({ version: 1, created: false })),
  )
})

test('one that fails leaves no repository, and is named; the others come', async () => {
  const remote = await makeRemote('partly', ['many/*'])
  upstream.when(/many\/bad\/blobs/, wrongBytes)
  const task = await stack.waitForTask((await start(remote)).id)
  expect(task).toMatchObject({
    state: 'failed',
    error: { code: 'repositories_failed' },
    result: { repositories: 3, completed: 2, failed: [{ repository: 'partly/many/bad', code: 'upstream_bad_digest' }] },
  })
  expect(task.error?.message).toBe('1 of 3 repositories could not be synced: partly/many/bad. The others were.')
  expect([await isThere('partly/many/bad'), await isThere('partly/many/a')]).toEqual([false, true])
  const skipped = await stack.waitForTask((await start(remote, { onError: 'skip' })).id)
  expect(skipped).toMatchObject({ state: 'completed', result: { completed: 2, failureCount: 1 } })
})

test('the cancel of a remote cancels the sync of each of its repositories', async () => {
  const remote = await makeRemote('ended', ['many/*', 'other/*'])
  upstream.when(/manifests/, hang)
  const task = await start(remote)
  await until('its repositories are begun', async () => (await runsOf(task)).length === 5)
  expect((await stack.api('POST', `/tasks/${task.id}/cancel`)).status).toBe(202)
  expect(await stack.waitForTask(task.id)).toMatchObject({ state: 'cancelled' })
  await until('all of them are cancelled', async () =>
    (await runsOf(task)).every((run: { state: string }) => run.state === 'cancelled'),
  )
  expect(await isThere('ended/many/a')).toBe(false)
})

test('a repository is named for a remote of one, and not for a remote of several', async () => {
  const remote = await makeRemote('named', ['many/*'])
  await make(stack, '/repositories', { name: 'named/own' })
  const several = await stack.api('POST', '/syncs', { remote, repository: 'named/own' })
  expect(several).toMatchObject({ status: 400, body: { field: 'repository' } })
  await make(stack, '/remotes', localRemote('single', upstream.url, 'many/a'))
  expect(await stack.api('POST', '/syncs', { remote: 'single' })).toMatchObject({
    status: 400,
    body: { field: 'repository' },
  })
})
