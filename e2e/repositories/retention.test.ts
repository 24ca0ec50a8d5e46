import { beforeAll, expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { pushRandomImage, send, type Target } from '../berth/push.ts'
import { basic, make, repositoryPath, versionNumbers } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

const stack = withBerth({ own: true, env: { BERTH_RETENTION_INTERVAL_SECONDS: '1' } })
let berth: Target

beforeAll(async () => {
  berth = { url: stack.url, authorization: basic(stack) }
}, 90_000)

const retain = (repository: string, body?: object) => stack.api('POST', `${repositoryPath(repository)}/retention`, body)
const tagsOf = async (repository: string) => {
  const answer = await send(berth, 'GET', `/v2/${repository}/tags/list`, 200)
  return ((await answer.json()) as { tags: string[] }).tags
}

test('rules of a repository apply by themselves, and what they took comes back with a rollback', async () => {
  const repository = 'retention/by-itself'
  for (const tag of ['v1', 'v2', 'v3']) await pushRandomImage(berth, repository, tag)
  const rules = [{ tags: ['v*'], keepNewest: 2 }]
  const { body } = await stack.api('PATCH', repositoryPath(repository), { retention: { rules } })
  expect(body.retention).toEqual({ rules })
  await until('the oldest tag is gone', async () => !(await tagsOf(repository)).includes('v1'))
  expect(await tagsOf(repository)).toEqual(['v2', 'v3'])
  expect(await versionNumbers(stack, repository)).toEqual([4, 3, 2, 1, 0])
  const { body: version } = await stack.api('GET', `${repositoryPath(repository)}/versions/4`)
  expect(version).toMatchObject({ cause: 'remove', createdBy: 'berth', counts: { removed: { tags: 1, manifests: 1 } } })
  await stack.api('PATCH', repositoryPath(repository), { retention: null })
  expect((await stack.api('POST', `${repositoryPath(repository)}/rollback`, { version: 3 })).status).toBe(201)
  expect(await tagsOf(repository)).toEqual(['v1', 'v2', 'v3'])
  expect((await retain(repository)).body).toMatchObject({ version: 5, created: false, source: null, tags: [] })
})

test('asked for, it names every tag and why, does so, and serves what is left when it answers', async () => {
  const repository = 'retention/asked'
  // Immutable until we ask, so that the interval takes nothing before.
  await make(stack, '/repositories', {
    name: repository,
    immutableTags: ['*'],
    retention: { rules: [{ tags: ['nightly-*'], keepNewest: 1 }] },
  })
  await make(stack, '/distributions', { name: repository, basePath: repository, repository })
  for (const tag of ['nightly-1', 'nightly-2', 'release']) await pushRandomImage(berth, repository, tag)
  expect((await retain(repository)).body).toMatchObject({
    created: false,
    counts: { tags: { goes: 0, stays: 3, reasons: { immutable: 1, newest: 1, unmatched: 1 } } },
    tags: [{ tag: 'nightly-1', goes: false, reason: 'immutable' }],
  })
  await make(stack, '/distributions', { name: 'pin', basePath: 'retention/pin', repository, version: 1 })
  await stack.api('PATCH', repositoryPath(repository), { immutableTags: [] })
  const plan = await retain(repository, { dryRun: true })
  expect(plan).toMatchObject({
    status: 200,
    body: {
      version: 3,
      source: 'repository',
      rules: [{ tags: ['nightly-*'], keepNewest: 1, goes: 0, stays: 2 }],
      tags: [
        { tag: 'nightly-1', goes: false, reason: 'pinned', rule: 0, lastPulledAt: null },
        { tag: 'nightly-2', goes: false, reason: 'newest', rule: 0 },
        { tag: 'release', goes: false, reason: 'unmatched', rule: null },
      ],
      changes: null,
    },
  })
  expect((await stack.api('DELETE', '/distributions/pin')).status).toBe(204)
  const { status, body } = await retain(repository)
  expect(status).toBe(200)
  // Unless the interval was faster.
  if (body.created)
    expect(body).toMatchObject({ version: 4, removed: { tags: 1, manifests: 1 }, tags: [{ goes: true }] })
  expect(await tagsOf(repository)).toEqual(['nightly-2', 'release'])
})

test('retention of a repository that is not there, or with a field that is none, is refused', async () => {
  expect(await retain('no/such')).toMatchObject({ status: 404 })
  expect(await retain('retention/asked', { colour: 'red' })).toMatchObject({ status: 400, body: { field: 'colour' } })
})
