import { hang, hangAfter, imageOf, status } from '@berth/registry-client/misbehaving-upstream'
import { expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { localRemote, make, startSync, versionNumbers } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

let count = 0
const stack = withBerth()
const upstream = withUpstream()

const busy = status(429, { 'retry-after': '600' })
test.each([
  ['while tags are listed', /tags\/list/, hang],
  ['while a tag is asked for', /HEAD .*manifests/, hang],
  ['while a manifest is fetched', /GET .*manifests/, hangAfter(5)],
  ['in the middle of a blob', /blobs/, hangAfter(500)],
  ['while upstream wants a pause', /GET .*manifests/, busy],
])('a sync that is cancelled %s ends within two seconds, and nothing is visible', async (_when, fits, fault) => {
  const name = `cancelled/${++count}`
  upstream.add(name, 'latest', imageOf(name, 50_000))
  await make(stack, '/repositories', { name })
  await make(stack, '/remotes', localRemote(name, upstream.url, name))
  const before = upstream.seen.length
  upstream.when(fits, fault)
  const { id } = await startSync(stack, name, name)
  await until('upstream is asked for what it does not give', () =>
    upstream.seen.slice(before).some(({ method, path }) => fits.test(`${method} ${path}`)),
  )
  if (fault === busy) {
    const paused = await until('the pause is told', async () => {
      const { body } = await stack.api('GET', `/tasks/${id}`)
      return body.progress.find((phase: { pausedUntil?: string }) => phase.pausedUntil)
    })
    expect(Date.parse(paused.pausedUntil)).toBeGreaterThan(Date.now() + 300_000)
    expect(paused.reason.length).toBeGreaterThan(5)
  }
  const startedAt = performance.now()
  await stack.api('POST', `/tasks/${id}/cancel`)
  const task = await stack.waitForTask(id)
  expect(performance.now() - startedAt).toBeLessThan(2_000)
  upstream.mend()
  expect(task.state).toBe('cancelled')
  expect(await versionNumbers(stack, name)).toEqual([0])
})
