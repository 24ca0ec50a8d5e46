import { beforeAll, expect, test } from '@jest/globals'
import { type Pushed, pushRandomImage, send } from '../berth/push.ts'
import { basic, make } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

const repository = 'cared/for'
const stack = withBerth({ own: true, env: { BERTH_PUSH_LEASE_SECONDS: '1' } })
let kept: Pushed
let gone: Pushed

beforeAll(async () => {
  await make(stack, '/repositories', { name: repository, retainVersions: 1 })
  await make(stack, '/distributions', { name: repository, basePath: repository, repository })
  const target = { url: stack.url, authorization: basic(stack) }
  gone = await pushRandomImage(target, repository, 'gone')
  kept = await pushRandomImage(target, repository, 'kept')
  await send(target, 'DELETE', `/v2/${repository}/manifests/${gone.digest}`, 202)
}, 60_000)

const collect = async (body?: object) => {
  const { status, headers, body: task } = await stack.api('POST', '/store/gc', body)
  expect(status).toBe(202)
  expect(headers.get('location')).toBe(`/api/v1/tasks/${task.id}`)
  const ended = await stack.waitForTask(task.id)
  expect(ended).toMatchObject({ state: 'completed', error: null })
  return ended.result
}

test('an administrator sees what would go, lets it go, and sees that it is gone', async () => {
  const layer = gone.layers[0] as string
  const facts = (await stack.api('GET', '/store')).body
  expect(facts.uniqueBytes).toBeGreaterThan(0)
  expect((await stack.api('GET', '/store/repositories')).body.items).toMatchObject([{ name: repository }])
  expect((await stack.api('GET', `/store/explain/${kept.layers[0]}`)).body).toMatchObject({
    isNeeded: true,
    repositories: [{ name: repository, as: 'blob' }],
  })
  // The lease of the push ends after a second, the link with it at no grace.
  let plan = await collect({ dryRun: true, graceSeconds: 0 })
  while (!plan.items.some((item: { digest: string }) => item.digest === layer))
    plan = await collect({ dryRun: true, graceSeconds: 0 })
  expect(plan.items.map((item: { digest: string }) => item.digest)).not.toContain(kept.layers[0])
  expect((await stack.api('GET', '/store')).body.uniqueBytes).toBe(facts.uniqueBytes)

  const result = await collect({ graceSeconds: 0 })
  expect(result.removed).toBeGreaterThanOrEqual(2)
  expect((await stack.api('GET', '/store')).body).toMatchObject({
    uniqueBytes: facts.uniqueBytes - result.removedBytes,
    lastRun: { cause: 'request', result: { removed: result.removed } },
  })
  expect((await stack.api('GET', `/store/explain/${layer}`)).status).toBe(404)
  const { items } = (await stack.api('GET', '/store/gc/runs?limit=1')).body
  expect(items).toMatchObject([{ id: result.runId, cause: 'request', thorough: true, graceSeconds: 0, error: null }])
  expect((await stack.api('GET', '/store/gc/plan')).body.items).toEqual([])
  const target = { url: stack.url, authorization: basic(stack) }
  await send(target, 'GET', `/v2/${repository}/manifests/kept`, 200)
  await send(target, 'GET', `/v2/${repository}/blobs/${kept.layers[0]}`, 200)
}, 60_000)

test('what cannot be is refused with the field: a negative grace, an unknown member, what is no digest', async () => {
  for (const body of [{ graceSeconds: -1 }, { graceSeconds: 'soon' }, { dryrun: true }])
    expect((await stack.api('POST', '/store/gc', body)).status).toBe(400)
  expect((await stack.api('GET', '/store/explain/sha256:short')).body).toMatchObject({ status: 400, field: 'digest' })
  expect((await stack.api('GET', '/store/gc/runs?cursor=bm8')).body).toMatchObject({ status: 400, field: 'cursor' })
})
