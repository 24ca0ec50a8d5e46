import { imageOf } from '@berth/registry-client/misbehaving-upstream'
import { beforeAll, expect, test } from '@jest/globals'
import { localRemote, make, startSync, sync } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

const large = 'filters/large'
const [image, other] = [imageOf('filtered', 1_000), imageOf('another', 1_000)]
const stack = withBerth()
const upstream = withUpstream()
let count = 0

beforeAll(async () => {
  upstream.add(
    large,
    Array.from({ length: 50_000 }, (_, i) => `1.${i}.0`),
    image,
  )
  upstream.add(large, ['latest', 'edge'], other)
}, 90_000)

/** A repository of ours and a remote of the large one with these filters; both have the name that is answered. */
async function makeFiltered(includeTags: string[], excludeTags: string[] = [], from = large): Promise<string> {
  const name = `filtered/${++count}`
  await make(stack, '/remotes', localRemote(name, upstream.url, from, { includeTags, excludeTags, retries: 0 }))
  await make(stack, '/repositories', { name })
  await make(stack, '/distributions', { name, basePath: name, repository: name, access: 'public' })
  return name
}
async function tagsOf(name: string): Promise<string[]> {
  const { tags } = (await (await fetch(`${stack.url}/v2/${name}/tags/list`)).json()) as { tags: string[] }
  return tags
}
const pull = async (name: string, reference: string) =>
  (await fetch(`${stack.url}/v2/${name}/manifests/${reference}`)).status

test('tags and digests that are named come out of 50,000 tags without a list, and again without a fetch', async () => {
  const name = await makeFiltered(['latest', '1.7.0', other.manifest.digest])
  const before = upstream.seen.length
  expect((await sync(stack, name, name)).result).toMatchObject({ version: 1, tagCounts: { added: 2 } })
  expect(upstream.seen.slice(before).filter(({ path }) => path.includes('/tags/'))).toEqual([])
  expect(await tagsOf(name)).toEqual(['1.7.0', 'latest'])
  const between = upstream.seen.length
  expect((await sync(stack, name, name)).result).toMatchObject({ version: 1, created: false })
  const again = upstream.seen.slice(between)
  expect(again.filter(({ method, path }) => method === 'GET' && !/referrers|^\/v2\/$/.test(path))).toEqual([])
  const heads = again.filter(({ method }) => method === 'HEAD').map(({ path }) => path.split('/').at(-1) ?? '')
  expect(heads.filter((tag) => !tag.startsWith('sha256-')).sort()).toEqual(['1.7.0', 'latest'])
})

test('a manifest that is wanted by its digest is served by it, without a tag, and asked for once', async () => {
  const name = await makeFiltered([image.manifest.digest])
  expect((await sync(stack, name, name)).result).toMatchObject({ version: 1, tagCounts: { added: 0 } })
  expect([await tagsOf(name), await pull(name, image.manifest.digest)]).toEqual([[], 200])
  const before = upstream.seen.length
  expect((await sync(stack, name, name)).result).toMatchObject({ version: 1, created: false })
  expect(upstream.seen.slice(before).filter(({ path }) => path.includes('/manifests/sha256:'))).toEqual([])
})

test('a digest that upstream does not have fails the sync, though Berth knows it of elsewhere', async () => {
  const known = await makeFiltered([other.manifest.digest])
  await sync(stack, known, known)
  upstream.add('filters/small', 'latest', image)
  const name = await makeFiltered([other.manifest.digest], [], 'filters/small')
  const task = await stack.waitForTask((await startSync(stack, name, name)).id)
  expect(task).toMatchObject({ state: 'failed', error: { code: 'upstream_not_found' } })
  expect(task.error?.message).toContain(other.manifest.digest)
})

test('of many tags come the versions of a range, the newest of them, and none that are excluded by digest', async () => {
  const name = await makeFiltered(['latest', 'edge', 'semver:>=1.100 <1.49990', 'newest:3'], ['1.49989.*'])
  await sync(stack, name, name)
  expect(await tagsOf(name)).toEqual(['1.49986.0', '1.49987.0', '1.49988.0', 'edge', 'latest'])
  const without = await makeFiltered(['latest', '1.1?.0'], [other.manifest.digest])
  await sync(stack, without, without)
  expect(await tagsOf(without)).toEqual(Array.from({ length: 10 }, (_, i) => `1.1${i}.0`))
})
