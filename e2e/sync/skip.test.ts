import { imageOf, status, wrongBytes } from '@berth/registry-client/misbehaving-upstream'
import { expect, test } from '@jest/globals'
import type { TaskView } from '../berth/berth.ts'
import { localRemote, make, versionNumbers } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

let count = 0

const stack = withBerth()
const upstream = withUpstream({ referrersApi: false })

const shared = imageOf('shared', 3_000)
/** An upstream repository with the tags `good` and `bad`, whose images share nothing, and `twin`, which is `good` again. */
async function makeScene(more: object = {}) {
  const name = `skip/${++count}`
  const [good, bad] = [imageOf(`${name} good`, 4_000), imageOf(`${name} bad`, 5_000)]
  upstream.add(name, ['good', 'twin'], good)
  upstream.add(name, 'bad', bad)
  await make(stack, '/remotes', localRemote(name, upstream.url, name, { retries: 0, ...more }))
  await make(stack, '/repositories', { name })
  await make(stack, '/distributions', { name, basePath: name, repository: name, access: 'public' })
  return { name, good, bad }
}
async function run(name: string, more: object): Promise<TaskView> {
  const { status: answered, body } = await stack.api('POST', '/syncs', { repository: name, remote: name, ...more })
  expect({ answered, body }).toMatchObject({ answered: 202 })
  const task = await stack.waitForTask(body.id)
  upstream.mend()
  return task
}
const digestOf = async (name: string, tag: string) =>
  (await fetch(`${stack.url}/v2/${name}/manifests/${tag}`)).headers.get('docker-content-digest')

test.each<[string, (scene: Awaited<ReturnType<typeof makeScene>>) => void, string]>([
  [
    'a layer that is wrong',
    ({ bad }) => upstream.when(new RegExp(`blobs/${bad.layers[0]?.digest}`), wrongBytes),
    'upstream_bad_digest',
  ],
  [
    'a manifest that is missing',
    ({ bad }) => upstream.when(new RegExp(`GET .*${bad.manifest.digest}`), status(404)),
    'upstream_not_found',
  ],
  [
    'a tag that gives no answer but 500',
    ({ name }) => upstream.when(new RegExp(`HEAD .*${name}/manifests/bad`), status(500)),
    'upstream_unavailable',
  ],
])('%s fails its tag only; the others come, and the failure is told', async (_what, spoil, code) => {
  const scene = await makeScene()
  spoil(scene)
  const task = await run(scene.name, { onError: 'skip' })
  expect(task).toMatchObject({ state: 'completed', result: { version: 1, tagCounts: { added: 2 }, failureCount: 1 } })
  expect(task.result.failures).toEqual([
    expect.objectContaining({ tag: 'bad', code, message: expect.stringContaining(upstream.host) }),
  ])
  const log = (await stack.api('GET', `/tasks/${task.id}/log`)).body.items as {
    level: string
    message: string
    detail: string
  }[]
  expect(log.filter(({ message }) => message.startsWith('tag bad'))).toMatchObject([
    { message: `tag bad is skipped: ${code}`, level: 'warn', detail: expect.stringContaining(upstream.host) },
  ])
  expect([log[0]?.message, ...log.slice(-2).map(({ message }) => message)]).toEqual([
    'attempt 1 begins',
    'version 1 is served: 2 tags added, 0 moved, 0 removed',
    'completed',
  ])
  expect([await digestOf(scene.name, 'good'), await digestOf(scene.name, 'bad')]).toEqual([
    scene.good.manifest.digest,
    null,
  ])
  const { items } = (await stack.api('GET', `/syncs?repository=${encodeURIComponent(scene.name)}`)).body
  expect(items[0]).toMatchObject({ onError: 'skip', result: { failureCount: 1 } })
  expect(await run(scene.name, {})).toMatchObject({
    state: 'completed',
    result: { tags: { added: ['bad'] }, failures: [] },
  })
})

test('the log of a run tells what was tried again', async () => {
  const { name } = await makeScene({ retries: 1 })
  upstream.when(new RegExp(`HEAD .*${name}/manifests/bad`), status(500))
  const task = await run(name, { onError: 'skip' })
  const { items } = (await stack.api('GET', `/tasks/${task.id}/log`)).body as { items: { message: string }[] }
  expect(items.filter(({ message }) => message.startsWith('tried again'))).toMatchObject([
    { message: 'tried again: upstream_unavailable', level: 'warn', detail: expect.stringContaining(upstream.host) },
  ])
})

test('a tag that is named and not there is a failure like any other', async () => {
  const { name } = await makeScene({ includeTags: ['good', 'absent'] })
  expect(await run(name, { onError: 'skip' })).toMatchObject({
    state: 'completed',
    result: { tags: { added: ['good'] }, failures: [{ tag: 'absent', code: 'upstream_not_found' }] },
  })
})

test('a mirror keeps a tag that failed as it was, whether it moved or cannot be asked for', async () => {
  const { name, good, bad } = await makeScene()
  upstream.add(name, ['third', 'fourth'], shared)
  await run(name, { mode: 'mirror' })
  const moved = imageOf(`${name} moved`, 100)
  upstream.add(name, 'bad', moved)
  upstream.when(new RegExp(`blobs/${moved.layers[0]?.digest}`), wrongBytes)
  upstream.when(new RegExp(`HEAD .*${name}/manifests/fourth`), status(500))
  const task = await run(name, { mode: 'mirror', onError: 'skip' })
  expect(task).toMatchObject({ state: 'completed', result: { created: false, failureCount: 2 } })
  expect(await digestOf(name, 'bad')).toBe(bad.manifest.digest)
  expect(await digestOf(name, 'fourth')).toBe(shared.manifest.digest)
  expect(await digestOf(name, 'good')).toBe(good.manifest.digest)
})

test.each<[string, number, Record<string, string>, string]>([
  ['a limit', 429, { 'retry-after': '3600' }, 'upstream_rate_limited'],
  ['a refused login', 401, { 'www-authenticate': 'Basic realm="x"' }, 'upstream_unauthorized'],
])('%s fails the run, not one tag', async (_what, code, headers, expected) => {
  const { name, bad } = await makeScene()
  upstream.when(new RegExp(`GET .*${name}/manifests/${bad.manifest.digest}`), status(code, headers))
  expect(await run(name, { onError: 'skip' })).toMatchObject({ state: 'failed', error: { code: expected } })
  expect(await versionNumbers(stack, name)).toEqual([0])
})

test('a run of which nothing succeeds has failed', async () => {
  const { name } = await makeScene()
  upstream.when(new RegExp(`GET .*${name}/blobs`), status(404))
  expect(await run(name, { onError: 'skip' })).toMatchObject({ state: 'failed', error: { code: 'upstream_not_found' } })
  expect(await versionNumbers(stack, name)).toEqual([0])
})

test.each(['../../elsewhere/manifests/good', 'a?b', 'a b', '.hidden', 'x'.repeat(129), 'a\u0000b'])(
  'a name among the tags that is no tag (%j) is left out and told of, and nobody is asked for it; excluded it is not',
  async (name) => {
    const scene = await makeScene()
    upstream.add('elsewhere', 'good', imageOf('of another repository', 100))
    const runListed = (more: object) => {
      upstream.when(new RegExp(`${scene.name}/tags`), status(200, {}, JSON.stringify({ tags: ['good', name] })))
      return run(scene.name, more)
    }
    const before = upstream.seen.length
    for (const added of [1, 0])
      expect(await runListed({ onError: added ? 'fail' : 'skip', mode: 'mirror' })).toMatchObject({
        state: 'completed',
        result: { tagCounts: { added }, failureCount: 0, skippedNames: [expect.any(String)] },
      })
    const asked = upstream.seen.slice(before).filter(({ method }) => method === 'HEAD')
    expect(new Set(asked.map(({ path }) => path))).toEqual(new Set([`/v2/${scene.name}/manifests/good`]))
    const excludeTags = ['*[/? ]*', '.*', 'xxx*', 'a?b']
    expect((await stack.api('PATCH', `/remotes/${encodeURIComponent(scene.name)}`, { excludeTags })).status).toBe(200)
    expect(await runListed({})).toMatchObject({ state: 'completed', result: { skippedNames: [] } })
  },
)
