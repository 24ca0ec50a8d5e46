import { imageOf } from '@berth/registry-client/misbehaving-upstream'
import { expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { getManifest, localRemote, make } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

const stack = withBerth({ own: true })
const upstream = withUpstream()

test('above its limit a pull-through distribution gives up what was pulled first, and has it again when that is pulled', async () => {
  await make(stack, '/remotes', { ...localRemote('hub', upstream.url, '', { retries: 0 }), upstreamName: null })
  const pullThrough = { remote: 'hub', trigger: 'anonymous', maxBytes: 150_000, ttlSeconds: 3_600 }
  await make(stack, '/distributions', { name: 'hub', basePath: 'hub', access: 'public', pullThrough })
  const images = { first: imageOf('first', 100_000), second: imageOf('second', 100_000) }
  const pull = async (name: 'first' | 'second') => {
    const { manifest, config, layers } = images[name]
    expect((await getManifest(`${stack.url}/v2/hub/${name}/manifests/v1`)).digest).toBe(manifest.digest)
    for (const { digest } of [config, ...layers])
      expect((await fetch(`${stack.url}/v2/hub/${name}/blobs/${digest}`)).status).toBe(200)
  }
  const fetched = () => upstream.seen.filter(({ path, method }) => method === 'GET' && path.includes('/blobs/')).length
  const listed = async (name: string) => {
    const answer = await fetch(`${stack.url}/v2/hub/${name}/tags/list`)
    return ((await answer.json()) as { tags: string[] | null }).tags ?? []
  }
  for (const [name, image] of Object.entries(images)) upstream.add(name, 'v1', image)
  await pull('first')
  await pull('second')
  expect(fetched()).toBe(4)
  // It is looked for at each start, and then every minute.
  await stack.kill('SIGTERM')
  await stack.restart()
  await until('the first image went', async () => (await listed('first')).length === 0, 30_000)
  expect(await listed('second')).toEqual(['v1'])
  await pull('second')
  await pull('first')
  expect(await listed('first')).toEqual(['v1'])
}, 90_000)
