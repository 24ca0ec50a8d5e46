import {
  imageOf,
  type MisbehavingUpstream,
  startMisbehavingUpstream,
} from '@berth/registry-client/misbehaving-upstream'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import type { TaskView } from '../berth/berth.ts'
import { localRemote, make, startSync } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

const tagCount = Number(process.env.BERTH_TEST_TAGS ?? 1_000)
const stack = withBerth()
const upstreams = new Map<string, MisbehavingUpstream>()
beforeAll(async () => {
  for (const name of ['with', 'without']) {
    const upstream = await startMisbehavingUpstream({ referrersApi: name === 'with' })
    upstreams.set(name, upstream)
    for (let i = 0; i < tagCount; i++) upstream.add(name, `v${i}`, imageOf(`${name} ${i}`, 500))
  }
}, 300_000)
afterAll(async () => {
  await Promise.all([...upstreams.values()].map((one) => one.close()))
}, 60_000)

test.each(['with', 'without'])(
  'a sync with nothing new, from an upstream %s the API for referrers, reads its list to the end, asks once for each tag whether it moved, fetches nothing and makes no version',
  async (name) => {
    const upstream = upstreams.get(name) as MisbehavingUpstream
    await make(stack, '/remotes', localRemote(name, upstream.url, name))
    await make(stack, '/repositories', { name })
    expect((await syncAll(name)).result).toMatchObject({ tagCounts: { added: tagCount } })
    const before = upstream.seen.length
    let notModified = 0
    upstream.when(/^HEAD .*manifests/, ({ answer, behave }) => {
      if (answer.status === 304) notModified++
      behave()
    })
    const { result, progress } = await syncAll(name)
    expect(result).toMatchObject({ version: 1, created: false, tagsChecked: tagCount })
    expect(progress).toContainEqual({ phase: 'blobs', done: 0, total: 0, unit: 'blobs' })
    const again = upstream.seen.slice(before)
    const asked = (fits: RegExp) => again.filter(({ method, path }) => fits.test(`${method} ${path}`)).length
    expect([asked(/^GET .*tags\/list/), asked(/^HEAD .*manifests/)]).toEqual([2, tagCount])
    expect(again).toHaveLength(tagCount + 2)
    expect(notModified).toBe(tagCount)
  },
  600_000,
)

async function syncAll(name: string): Promise<TaskView> {
  const { id } = await startSync(stack, name, name)
  return stack.waitForTask(id, 300_000)
}
