import { beforeAll, expect, test } from '@jest/globals'
import type { TaskView } from '../berth/berth.ts'
import { pushRandomImage, send, type Target } from '../berth/push.ts'
import { basic, localRemote, make, repositoryPath } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

const upstream = 'mirror/upstream'
const repository = 'mirror/app'
const stack = withBerth()
let berth: Target

beforeAll(async () => {
  berth = { url: stack.url, authorization: basic(stack) }
  for (const tag of ['a', 'b', 'c', 'd']) await pushRandomImage(berth, upstream, tag)
  const login = { username: stack.user, password: stack.password }
  await make(stack, '/remotes', localRemote('upstream', stack.url, upstream, login))
  await make(stack, '/repositories', { name: repository })
  await make(stack, '/distributions', { name: repository, basePath: repository, repository })
}, 90_000)

async function mirror(more: object = {}): Promise<TaskView> {
  const { status, body } = await stack.api('POST', '/syncs', {
    repository,
    remote: 'upstream',
    mode: 'mirror',
    ...more,
  })
  expect({ status, body }).toMatchObject({ status: 202 })
  return stack.waitForTask(body.id)
}
const tags = async (name: string) =>
  ((await (await send(berth, 'GET', `/v2/${name}/tags/list`, 200)).json()) as { tags: string[] }).tags
const latest = async () => (await stack.api('GET', repositoryPath(repository))).body.latestVersion as number

test('a mirror brings all of upstream, and again nothing', async () => {
  expect(await mirror()).toMatchObject({ state: 'completed', result: { created: true, tagCounts: { added: 4 } } })
  expect(await mirror()).toMatchObject({ state: 'completed', result: { created: false, version: 1 } })
  expect(await tags(repository)).toEqual(['a', 'b', 'c', 'd'])
})

test('what upstream does not have goes with the next mirror, and comes back with a rollback', async () => {
  const own = await pushRandomImage(berth, repository, 'own')
  await send(berth, 'DELETE', `/v2/${upstream}/manifests/d`, 202)
  await pushRandomImage(berth, upstream, 'a')
  expect(await mirror()).toMatchObject({
    state: 'completed',
    result: { created: true, tags: { added: [], moved: ['a'], removed: ['d', 'own'] } },
  })
  expect(await tags(repository)).toEqual(['a', 'b', 'c'])
  await send(berth, 'GET', `/v2/${repository}/manifests/${own.digest}`, 404)
  const before = (await latest()) - 1
  expect((await stack.api('POST', `${repositoryPath(repository)}/rollback`, { version: before })).status).toBe(201)
  await send(berth, 'GET', `/v2/${repository}/manifests/${own.digest}`, 200)
})

test('a mirror that would take more than half of the tags is refused and changes nothing, unless it is forced', async () => {
  const before = await latest()
  for (const tag of ['b', 'c']) await send(berth, 'DELETE', `/v2/${upstream}/manifests/${tag}`, 202)
  const refused = await mirror()
  expect(refused).toMatchObject({ state: 'failed', error: { code: 'mirror_guard' } })
  expect(refused.error?.message).toContain('4 of 5 tags')
  expect(await latest()).toBe(before)
  expect(await mirror({ force: true })).toMatchObject({ state: 'completed', result: { tagCounts: { removed: 4 } } })
  expect(await tags(repository)).toEqual(['a'])
})

test('an empty upstream does not empty the repository', async () => {
  await send(berth, 'DELETE', `/v2/${upstream}/manifests/a`, 202)
  expect(await mirror()).toMatchObject({ state: 'failed', error: { code: 'mirror_guard' } })
  expect(await tags(repository)).toEqual(['a'])
})

test('force without mirror is refused with the field', async () => {
  const answer = await stack.api('POST', '/syncs', { repository, remote: 'upstream', force: true })
  expect(answer).toMatchObject({ status: 400, body: { field: 'force' } })
})
