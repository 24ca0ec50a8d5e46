import { imageOf } from '@berth/registry-client/misbehaving-upstream'
import { beforeAll, expect, test } from '@jest/globals'
import type { TaskView } from '../berth/berth.ts'
import { localRemote, make, sync, versionNumbers } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

const name = 'planned/app'
const stack = withBerth()
const upstream = withUpstream()

let storedBefore = 0
beforeAll(async () => {
  storedBefore = await stored()
  for (const tag of ['kept', 'moves', 'goes']) upstream.add(name, tag, imageOf(tag, 3_000, 4_000))
  await make(
    stack,
    '/remotes',
    localRemote(name, upstream.url, name, { retries: 0, includeTags: ['kept', 'moves', 'goes'] }),
  )
  await make(stack, '/repositories', { name })
}, 90_000)

async function run(more: object): Promise<TaskView> {
  const { status, body } = await stack.api('POST', '/syncs', { repository: name, remote: name, ...more })
  expect({ status, body }).toMatchObject({ status: 202 })
  return stack.waitForTask(body.id)
}
/** How many objects the store has got since the tests began. */
const stored = async () => ((await stack.api('GET', '/store')).body.objects as number) - storedBefore

test('a plan says what a first sync would fetch, and then nothing of it is there', async () => {
  const task = await run({ dryRun: true })
  expect(task).toMatchObject({
    state: 'completed',
    result: {
      dryRun: true,
      tags: { added: ['goes', 'kept', 'moves'], kept: [] },
      tagCounts: { added: 3 },
      manifests: 3,
      blobs: 9,
    },
  })
  expect(upstream.seen.filter(({ path }) => path.includes('/blobs/'))).toEqual([])
  expect([await versionNumbers(stack, name), await stored()]).toEqual([[0], 0])
  const before = upstream.seen.length
  const { result } = await sync(stack, name, name)
  expect(result).toMatchObject({ version: 1, bytesFetched: task.result.bytesToFetch })
  expect(upstream.seen.length - before).toBe(task.result.requests)
})

test('a plan of a mirror names what would come, move, go and stay, and what is saved', async () => {
  upstream.add(name, 'moves', imageOf('moved', 3_000))
  upstream.add(name, 'comes', imageOf('kept', 3_000, 4_000))
  const includeTags = ['kept', 'moves', 'comes']
  await stack.api('PATCH', `/remotes/${encodeURIComponent(name)}`, { includeTags })
  const [objects, versions] = [await stored(), await versionNumbers(stack, name)]
  const task = await run({ mode: 'mirror', dryRun: true })
  expect(task).toMatchObject({
    state: 'completed',
    result: {
      tags: { added: ['comes'], moved: ['moves'], removed: ['goes'], kept: ['kept'] },
      tagCounts: { added: 1, moved: 1, removed: 1, kept: 1 },
      needsForce: false,
      manifests: 1,
      blobs: 2,
    },
  })
  expect(task.result.bytesSaved).toBeGreaterThan(7_000)
  expect([await stored(), await versionNumbers(stack, name)]).toEqual([objects, versions])
  expect(await run({ mode: 'mirror' })).toMatchObject({
    result: { tags: { added: ['comes'], moved: ['moves'], removed: ['goes'] }, bytesFetched: task.result.bytesToFetch },
  })
})

test('a plan of a mirror that would take away more than half of the tags says that it has to be forced', async () => {
  await stack.api('PATCH', `/remotes/${encodeURIComponent(name)}`, { includeTags: ['comes'] })
  expect(await run({ mode: 'mirror', dryRun: true })).toMatchObject({
    state: 'completed',
    result: { needsForce: true },
  })
  expect(await run({ mode: 'mirror' })).toMatchObject({ state: 'failed', error: { code: 'mirror_guard' } })
})

test('a plan of what fails fails as the sync would', async () => {
  await stack.api('PATCH', `/remotes/${encodeURIComponent(name)}`, { includeTags: ['kept', 'absent'] })
  expect(await run({ dryRun: true })).toMatchObject({ state: 'failed', error: { code: 'upstream_not_found' } })
  const { items } = (await stack.api('GET', '/syncs')).body
  expect(items[0]).toMatchObject({ dryRun: true, state: 'failed' })
})
