import type { Digest } from '@berth/oci'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type Catalog, contentOf, pushBlob, pushManifest, startCatalog } from '../testing/catalog.fixture.ts'

let catalog: Catalog
beforeAll(async () => {
  catalog = await startCatalog()
})
afterAll(() => catalog?.stop())

test.each([
  ['by tag', ['deep']],
  ['by digest', []],
])('indexes lie in each other sixteen deep, and one more is refused and changes nothing (%s)', async (how, tags) => {
  const name = `nesting/${how.replace(' ', '-')}`
  const blobs = [await pushBlob(catalog.db, name, 'layer')]
  let below: Digest = await pushManifest(catalog.db, name, { name, blobs }, ['v1'])
  for (let level = 1; level <= 16; level++) below = await pushManifest(catalog.db, name, { name, children: [below] })
  const before = await contentOf(catalog.db, name)
  await expect(pushManifest(catalog.db, name, { name, children: [below] }, tags)).rejects.toMatchObject({
    code: 'index_too_deep',
    status: 400,
  })
  expect(await contentOf(catalog.db, name)).toEqual(before)
})
