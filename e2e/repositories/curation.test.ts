import { beforeAll, expect, test } from '@jest/globals'
import { pushRandomImage, send, type Target } from '../berth/push.ts'
import { basic, make, repositoryPath } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

const source = 'curation/source'
const target = 'curation/target'
const stack = withBerth()
let berth: Target
let first: string
let second: string

beforeAll(async () => {
  berth = { url: stack.url, authorization: basic(stack) }
  first = (await pushRandomImage(berth, source, 'one')).digest
  second = (await pushRandomImage(berth, source, 'two')).digest
  await make(stack, '/repositories', { name: target })
  await make(stack, '/distributions', { name: target, basePath: target, repository: target })
}, 90_000)

const api = (method: string, path: string, body?: unknown) =>
  stack.api(method, `${repositoryPath(target)}${path}`, body)
const served = async (tag: string) =>
  (await send(berth, 'GET', `/v2/${target}/manifests/${tag}`, 200)).headers.get('docker-content-digest')

test('a copy that was answered is pulled, after a dry run that changed nothing', async () => {
  const wanted = { from: { repository: source }, tags: ['o*'] }
  const plan = await api('POST', '/copy', { ...wanted, dryRun: true })
  expect(plan).toMatchObject({
    status: 200,
    body: { counts: { tags: { added: 1 } }, tags: [{ tag: 'one', to: first }] },
  })
  await send(berth, 'GET', `/v2/${target}/manifests/one`, 404)
  const made = await api('POST', '/copy', wanted)
  expect(made).toMatchObject({ status: 201, body: { number: 1, cause: 'copy', counts: { added: { tags: 1 } } } })
  expect(made.headers.get('location')).toMatch(/\/versions\/1$/)
  expect(await served('one')).toBe(first)
  expect(await api('POST', '/copy', wanted)).toMatchObject({ status: 200, body: { number: 1 } })
})

test('a copy into a repository that nothing serves yet can be pulled, and says from where', async () => {
  const name = 'curation/new'
  await make(stack, '/repositories', { name })
  const wanted = { from: { repository: source }, tags: ['one'] }
  const planned = await stack.api('POST', `${repositoryPath(name)}/copy`, { ...wanted, dryRun: true })
  expect(planned.status).toBe(200)
  expect((await stack.api('GET', `/distributions?repository=${encodeURIComponent(name)}`)).body.items).toEqual([])
  const made = await stack.api('POST', `${repositoryPath(name)}/copy`, wanted)
  expect(made).toMatchObject({ status: 201, body: { basePaths: [name] } })
  await send(berth, 'GET', `/v2/${name}/manifests/one`, 200)
  // Private: it is not given without a login.
  expect((await fetch(`${stack.url}/v2/${name}/manifests/one`)).status).toBe(401)
})

test('a copy into a repository whose name serves another says where it can be pulled: nowhere', async () => {
  await make(stack, '/repositories', { name: 'curation/taken' })
  await make(stack, '/distributions', { name: 'taken', basePath: 'curation/taken', repository: source })
  const wanted = { from: { repository: source }, tags: ['one'] }
  const made = await stack.api('POST', `${repositoryPath('curation/taken')}/copy`, wanted)
  expect(made).toMatchObject({ status: 201, body: { basePaths: [] } })
})

test('a tag is set, moved and taken away, and what is served follows at once', async () => {
  expect(await api('PUT', '/tags/stable', { digest: first })).toMatchObject({ status: 201, body: { cause: 'tag' } })
  expect(await served('stable')).toBe(first)
  expect(await api('PUT', '/tags/stable', { digest: second })).toMatchObject({
    status: 404,
    body: { code: 'manifest_not_found' },
  })
  expect((await api('POST', '/modify', { add: [{ digest: second }] })).status).toBe(201)
  expect((await api('PUT', '/tags/stable', { digest: second })).status).toBe(201)
  expect(await served('stable')).toBe(second)
  expect((await api('DELETE', '/tags/stable')).status).toBe(204)
  await send(berth, 'GET', `/v2/${target}/manifests/stable`, 404)
  expect((await api('DELETE', '/tags/stable')).status).toBe(404)
})

test('versions can be compared, and an old one deleted', async () => {
  const { body } = await api('GET', '/versions/1/diff?to=3')
  expect(body).toMatchObject({
    counts: { tags: { added: 1, moved: 0, removed: 0 }, manifests: { added: 1, removed: 0 } },
    manifests: { added: [second], removed: [] },
    complete: true,
  })
  expect((await api('GET', '/versions/1/diff?to=99')).status).toBe(404)
  expect((await api('DELETE', '/versions/2')).status).toBe(204)
  expect((await api('GET', '/versions/2')).status).toBe(404)
  expect(await served('one')).toBe(first)
})

test('removal by name is one version; a manifest that a tag holds is refused with the tag', async () => {
  const refused = await api('POST', '/modify', { remove: [{ digest: first }] })
  expect(refused).toMatchObject({ status: 409, body: { code: 'manifest_held', holders: ['one'] } })
  const { body } = await api('POST', '/modify', { remove: [{ tag: 'one' }] })
  expect(body).toMatchObject({ cause: 'remove', counts: { removed: { tags: 1, manifests: 1 } } })
  await send(berth, 'GET', `/v2/${target}/manifests/${first}`, 404)
})

test.each([
  ['an entry with digest and tag', { add: [{ digest: `sha256:${'0'.repeat(64)}`, tag: 'x' }] }, 'add[0]'],
  ['a tag of nowhere', { add: [{ tag: 'x' }] }, 'add[0].from'],
  ['everything and more', { remove: ['*', { tag: 'x' }] }, 'remove'],
  ['an unknown repository', { add: [{ tag: 'x', from: { repository: 'no/such' } }] }, 'add[0].from.repository'],
  ['an unknown version', { from: { repository: source, version: 9 }, add: [{ tag: 'one' }] }, 'from.version'],
])('%s is refused with the field', async (_, body, field) => {
  const answer = await api('POST', '/modify', body)
  expect(answer.status).toBeGreaterThanOrEqual(400)
  expect(answer.status).toBeLessThan(500)
  expect(answer.body).toMatchObject({ field })
})
