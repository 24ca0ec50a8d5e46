import { imageOf, manifestOf } from '@berth/registry-client/misbehaving-upstream'
import { beforeAll, expect, test } from '@jest/globals'
import { localRemote, make, sync } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

// Together more than the 64 MiB that one command between services takes.
const tagCount = 20

const stack = withBerth({ own: true, env: { BERTH_PROCESSES: 'true' } })
const upstream = withUpstream()
beforeAll(async () => {
  // What services say to each other has a limit only between processes.
}, 120_000)

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
