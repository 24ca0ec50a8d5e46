import { imageOf, wrongBytes } from '@berth/registry-client/misbehaving-upstream'
import { afterEach, expect, test } from '@jest/globals'
import { apiAs, grant, makeUser } from '../access/people.ts'
import { localRemote, make, repositoryPath } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

const stack = withBerth()
const upstream = withUpstream()
afterEach(() => upstream.mend())

async function retry(id: string, body: object = {}) {
  const { status, body: task } = await stack.api('POST', `/tasks/${id}/retry`, body)
  expect({ status, task }).toMatchObject({ status: 202, task: { retryOf: id, state: 'waiting' } })
  return stack.waitForTask(task.id)
}
const tagsAsked = (name: string, from: number) =>
  upstream.seen
    .slice(from)
    .flatMap(({ path }) => new RegExp(`/v2/${name}/manifests/(bad|good|gone)$`).exec(path)?.[1] ?? [])

/** A mirror of `good`, `bad` and `gone`, of which `bad` has a layer that is spoilt. */
async function makeScene(name: string): Promise<void> {
  const [good, bad, gone] = ['good', 'bad', 'gone'].map((tag) => imageOf(`${name} ${tag}`, 2_000))
  for (const [tag, image] of Object.entries({ good, bad, gone })) if (image) upstream.add(name, tag, image)
  await make(stack, '/remotes', localRemote(name, upstream.url, name, { retries: 0 }))
  await make(stack, '/repositories', { name })
  upstream.when(new RegExp(`blobs/${bad?.layers[0]?.digest}`), wrongBytes)
}
async function sync(name: string, more: object) {
  const { status, body } = await stack.api('POST', '/syncs', { repository: name, remote: name, ...more })
  expect(status).toBe(202)
  return stack.waitForTask(body.id)
}
const tagsOf = async (name: string) =>
  (await stack.api('GET', `${repositoryPath(name)}/tags`)).body.items.map(({ name: tag }: { name: string }) => tag)

test('a sync that failed is tried again whole; one that went well is not', async () => {
  const name = 'retry/whole'
  await makeScene(name)
  const failed = await sync(name, {})
  expect(failed.state).toBe('failed')
  expect(await tagsOf(name)).toEqual([])
  upstream.mend()
  const again = await retry(failed.id)
  expect(again).toMatchObject({ state: 'completed', kind: 'sync', result: { tagCounts: { added: 3 } } })
  expect(await tagsOf(name)).toEqual(['bad', 'gone', 'good'])
  const { status, body } = await stack.api('POST', `/tasks/${again.id}/retry`)
  expect([status, body.code]).toEqual([409, 'task_not_failed'])
})

test('of a mirror that skipped errors only what failed is tried again, and nothing else is asked for or taken away', async () => {
  const name = 'retry/partly'
  await makeScene(name)
  const partial = await sync(name, { mode: 'mirror', onError: 'skip' })
  expect(partial).toMatchObject({ state: 'completed', result: { failureCount: 1 } })
  upstream.mend()
  const from = upstream.seen.length
  const again = await retry(partial.id, { failedOnly: true })
  expect(again).toMatchObject({ state: 'completed', result: { tagCounts: { added: 1 }, failureCount: 0 } })
  expect(new Set(tagsAsked(name, from))).toEqual(new Set(['bad']))
  expect(await tagsOf(name)).toEqual(['bad', 'gone', 'good'])
})

test('of a group only the repositories that failed are synced again', async () => {
  for (const name of ['retries/a', 'retries/b']) upstream.add(name, '1', imageOf(name, 2_000))
  const { upstreamName: _one, ...remote } = localRemote('retry-group', upstream.url, '', { retries: 0 }) as {
    upstreamName: string
  }
  await make(stack, '/remotes', { ...remote, upstreamNames: ['retries/*'], targetPrefix: 'retry-group' })
  upstream.when(/retries\/b\/blobs/, wrongBytes)
  const { body } = await stack.api('POST', '/syncs', { remote: 'retry-group' })
  const failed = await stack.waitForTask(body.id)
  expect(failed).toMatchObject({ state: 'failed', result: { repositories: 2, completed: 1 } })
  upstream.mend()
  const again = await retry(failed.id, { failedOnly: true })
  expect(again).toMatchObject({ state: 'completed', result: { repositories: 1, completed: 1 } })
})

test('a task is tried again by who may cancel it, with its own rights', async () => {
  const name = 'retry/rights'
  await makeScene(name)
  const failed = await sync(name, {})
  const ann = await makeUser(stack, 'retry-ann')
  const retryAs = async () => {
    const { status, body } = await apiAs(stack, ann, 'POST', `/tasks/${failed.id}/retry`)
    return { status, body }
  }
  expect((await retryAs()).status).toBe(404)
  const given = [
    await grant(stack, { user: ann.user }, 'puller', `repository:${name}`),
    await grant(stack, { user: ann.user }, 'maintainer', `remote:${name}`),
  ]
  expect((await retryAs()).status).toBe(403)
  await grant(stack, { user: ann.user }, 'maintainer', `repository:${name}`)
  await stack.api('DELETE', `/grants/${given[0]}`)
  upstream.mend()
  const { status, body } = await retryAs()
  expect(status).toBe(202)
  expect(await stack.waitForTask(body.id)).toMatchObject({ state: 'completed' })
})
