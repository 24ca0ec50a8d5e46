import type { Digest } from '@berth/oci'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type Catalog, contentOf, idOf, pushBlob, pushManifest, startCatalog } from '../testing/catalog.fixture.ts'
import { evictAll } from './evict.ts'

let catalog: Catalog
beforeAll(async () => {
  catalog = await startCatalog()
})
afterAll(() => catalog.stop())

const { signal } = new AbortController()
const evictions = () => Array.fromAsync(evictAll(catalog.db, signal))

/** A pull-through distribution that may hold so much. */
async function host(name: string, maxBytes: number | null): Promise<string> {
  const settings = {
    remoteId: '00000000-0000-0000-0000-000000000000',
    remote: name,
    host: name,
    ttlSeconds: 60,
    maxBytes,
  }
  const [row] = await catalog.db.query<{ id: string }>(
    `insert into distribution (name, base_path, access, created_by, pull_through) values ($1, $1, 'public', 'ana', $2) returning id`,
    [name, JSON.stringify({ ...settings, trigger: 'anonymous' })],
  )
  return row?.id ?? ''
}
/** An image of a layer of so many bytes in a repository that came by it, pulled last so many hours ago. */
async function image(via: string, name: string, tag: string, sizeBytes: number, hoursAgo: number): Promise<Digest> {
  const blob = await pushBlob(catalog.db, name, `${name} ${tag}`, sizeBytes)
  const digest = await pushManifest(catalog.db, name, { name: tag, blobs: [blob] }, [tag])
  const id = await idOf(catalog.db, name)
  await catalog.db.query('update distribution set via = $2 where base_path = $1', [name, via])
  await catalog.db.query(
    `update manifest_interval set opened_at = now() - interval '100 days' where repository_id = $1 and digest = $2`,
    [id, digest],
  )
  await catalog.db.query(
    'insert into tag_pull (repository_id, name, pulled_at) values ($1, $2, now() - make_interval(hours => $3))',
    [id, tag, hoursAgo],
  )
  return digest
}

test('over its limit, what was pulled least lately goes from all repositories of a host, and no more than has to', async () => {
  const via = await host('hub', 25_000)
  await image(via, 'hub/one', 'old', 10_000, 30)
  await image(via, 'hub/one', 'new', 10_000, 1)
  await image(via, 'hub/two', 'older', 10_000, 40)
  await image(via, 'hub/two', 'newer', 10_000, 2)
  expect(await evictions()).toMatchObject([{ manifests: 1 }, { manifests: 1 }])
  expect(Object.keys((await contentOf(catalog.db, 'hub/one')).tags)).toEqual(['new'])
  expect(Object.keys((await contentOf(catalog.db, 'hub/two')).tags)).toEqual(['newer'])
  expect(await evictions()).toEqual([])
})

test('within its limit, or without one, nothing goes, whatever lies elsewhere', async () => {
  const [within, unlimited] = [await host('small', 100_000), await host('large', null)]
  await image(within, 'small/one', 'v1', 10_000, 500)
  await image(unlimited, 'large/one', 'v1', 10_000_000, 500)
  await pushManifest(
    catalog.db,
    'plain',
    { name: 'p', blobs: [await pushBlob(catalog.db, 'plain', 'p', 10_000_000)] },
    ['v1'],
  )
  expect(await evictions()).toEqual([])
})

test('an index stays when one of its members goes', async () => {
  const via = await host('indexes', 15_000)
  const name = 'indexes/one'
  const members = [await image(via, name, 'a', 10_000, 30), await image(via, name, 'b', 10_000, 1)]
  const index = await pushManifest(catalog.db, name, { name: 'list', children: members }, ['list'])
  await evictions()
  const left = await contentOf(catalog.db, name)
  expect(left.tags).toEqual({ b: members[1], list: index })
  expect(new Set(left.manifests)).toEqual(new Set([index, members[1]]))
})
