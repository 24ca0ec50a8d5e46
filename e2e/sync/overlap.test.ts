import { EventEmitter, once } from 'node:events'
import { type Fault, imageOf, status } from '@berth/registry-client/misbehaving-upstream'
import { expect, test } from '@jest/globals'
import { localRemote, make, startSync, sync } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

// More than are fetched before catalog is told of the first ones.
const tagCount = 450
const stack = withBerth()
const upstream = withUpstream()

async function makeMirror(name: string): Promise<void> {
  for (let i = 0; i < tagCount; i++) upstream.add(name, `v${i}`, imageOf(`${name} ${i}`, 300))
  await make(stack, '/remotes', localRemote(name, upstream.url, name, { retries: 0 }))
  await make(stack, '/repositories', { name })
}

/** Hands on all answers but those of the last manifests, too few to take all places that requests have. */
function lastManifests(treat: Fault): Fault {
  let asked = 0
  return (exchange) => (++asked > tagCount - 3 ? treat(exchange) : exchange.behave())
}

test('blobs come while manifests are still waited for', async () => {
  await makeMirror('overlap/held')
  const seen = new EventEmitter()
  let blobs = 0
  upstream.when(/GET .*blobs/, ({ behave }) => {
    blobs++
    seen.emit('blob')
    behave()
  })
  upstream.when(
    /GET .*manifests/,
    lastManifests(({ behave }) => void (blobs > 0 ? Promise.resolve() : once(seen, 'blob')).then(behave)),
  )
  const { result } = await sync(stack, 'overlap/held', 'overlap/held')
  upstream.mend()
  expect(result).toMatchObject({ created: true, tagsChecked: tagCount })
}, 120_000)

test('when a manifest fails while blobs come, the run says so, and the next one has what came', async () => {
  const name = 'overlap/failed'
  await makeMirror(name)
  // So that blobs have come by then.
  const recorded = new EventEmitter()
  let blobs = 0
  upstream.when(/GET .*blobs/, ({ behave }) => {
    if (++blobs === 300) recorded.emit('enough')
    behave()
  })
  const enough = once(recorded, 'enough')
  upstream.when(
    /GET .*manifests/,
    lastManifests(({ response }) => void enough.then(() => response.writeHead(500).end())),
  )
  const task = await stack.waitForTask((await startSync(stack, name, name)).id)
  expect(task).toMatchObject({ state: 'failed', error: { code: 'upstream_unavailable' } })
  upstream.mend()
  const before = upstream.seen.length
  expect((await sync(stack, name, name)).result).toMatchObject({ created: true, tagsChecked: tagCount })
  const fetched = upstream.seen.slice(before).filter(({ path }) => path.includes('/blobs/'))
  expect(fetched.length).toBeLessThan(2 * tagCount - 200)
}, 120_000)

test('when a blob fails while manifests come, the run ends with that, and does not wait for the manifests', async () => {
  const name = 'overlap/blob'
  await makeMirror(name)
  upstream.when(/GET .*blobs/, status(404))
  upstream.when(
    /GET .*manifests/,
    lastManifests(() => {}),
  )
  const task = await stack.waitForTask((await startSync(stack, name, name)).id)
  upstream.mend()
  expect(task).toMatchObject({ state: 'failed', error: { code: 'upstream_not_found' } })
}, 20_000)
