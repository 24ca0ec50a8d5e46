import {
  imageOf,
  type MisbehavingUpstream,
  manifestOf,
  startMisbehavingUpstream,
} from '@berth/registry-client/misbehaving-upstream'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { localRemote, make, sync } from '../berth/requests.ts'
import { startTestStack, type TestStack } from '../berth/stack.ts'

// Together more than the 64 MiB that one command between services takes.
const tagCount = 20

let stack: TestStack
let upstream: MisbehavingUpstream
beforeAll(async () => {
  upstream = await startMisbehavingUpstream()
  // What services say to each other has a limit only between processes.
  stack = await startTestStack({ env: { BERTH_PROCESSES: 'true' } })
}, 120_000)
afterAll(async () => {
  await stack?.stop()
  await upstream?.close()
}, 60_000)

test('manifests near their largest size come, however many there are', async () => {
  const name = 'huge/manifests'
  const image = imageOf(name, 1_000)
  const body = JSON.parse(image.manifest.bytes.toString('utf8')) as { mediaType: string }
  const text = 'a'.repeat(3_500_000)
  for (let i = 0; i < tagCount; i++) {
    const manifest = manifestOf({ ...body, annotations: { number: String(i), text } } as never)
    upstream.add(name, `v${i}`, { ...image, manifest })
  }
  await make(stack, '/remotes', localRemote(name, upstream.url, name))
  await make(stack, '/repositories', { name })
  expect((await sync(stack, name, name)).result).toMatchObject({ version: 1, tagCounts: { added: tagCount } })
}, 120_000)
