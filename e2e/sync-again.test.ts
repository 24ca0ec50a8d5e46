import {
  imageOf,
  type MisbehavingUpstream,
  startMisbehavingUpstream,
} from '@berth/registry-client/misbehaving-upstream'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { localRemote, make, startSync } from './requests.ts'
import { startTestStack, type TaskView, type TestStack } from './stack.ts'

const name = 'again/app'
const tagCount = Number(process.env.BERTH_TEST_TAGS ?? 1_000)
let stack: TestStack
let upstream: MisbehavingUpstream
beforeAll(async () => {
  upstream = await startMisbehavingUpstream({ referrersApi: false })
  for (let i = 0; i < tagCount; i++) upstream.add(name, `v${i}`, imageOf(`${name} ${i}`, 500))
  stack = await startTestStack()
}, 300_000)
afterAll(async () => {
  await stack?.stop()
  await upstream?.close()
}, 60_000)

test('a sync with nothing new makes one list, asks once for each tag, fetches nothing and makes no version', async () => {
  await make(stack, '/remotes', localRemote(name, upstream.url, name))
  await make(stack, '/repositories', { name })
  expect((await syncAll()).result).toMatchObject({ tagCounts: { added: tagCount } })
  const before = upstream.seen.length
  expect((await syncAll()).result).toMatchObject({ version: 1, created: false, tagsChecked: tagCount })
  const again = upstream.seen.slice(before)
  const asked = (fits: RegExp) => again.filter(({ method, path }) => fits.test(`${method} ${path}`)).length
  // That it has neither an API for referrers nor signatures is asked once.
  expect([asked(/^GET .*tags\/list/), asked(/^HEAD .*manifests/), asked(/referrers/), asked(/^GET \/v2\/$/)]).toEqual([
    1,
    tagCount,
    1,
    1,
  ])
  expect(again).toHaveLength(tagCount + 3)
}, 600_000)

async function syncAll(): Promise<TaskView> {
  const { id } = await startSync(stack, name, name)
  return stack.waitForTask(id, 300_000)
}
