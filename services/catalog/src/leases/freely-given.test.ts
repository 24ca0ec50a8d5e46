import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type Catalog, digestOf, pushBlob, pushManifest, startCatalog } from '../testing/catalog.fixture.ts'
import { freelyGiven } from './freely-given.ts'
import { leaseBlobs } from './leases.ts'

const nowhere = '00000000-0000-0000-0000-000000000000'
let catalog: Catalog
beforeAll(async () => {
  catalog = await startCatalog()
}, 60_000)
afterAll(async () => {
  await catalog?.stop()
})

async function idOf(name: string): Promise<string> {
  const [row] = await catalog.db.query<{ id: string }>('select id from repository where name = $1', [name])
  return row?.id ?? nowhere
}

test('what a repository has is freely given to it, and to others only while a public distribution serves it', async () => {
  const { db } = catalog
  const layer = await pushBlob(db, 'own', 'layer')
  const loose = await pushBlob(db, 'own', 'no manifest names it')
  const manifest = await pushManifest(db, 'own', { blobs: [layer] }, ['v1'])
  const digests = [layer, loose, manifest, digestOf('unknown')]
  expect((await freelyGiven(db, { repositoryId: await idOf('own'), digests })).sort()).toEqual(
    [layer, loose, manifest].sort(),
  )
  expect(await freelyGiven(db, { repositoryId: nowhere, digests })).toEqual([])
  await db.query("update distribution set access = 'public' where name = 'own'")
  expect((await freelyGiven(db, { repositoryId: nowhere, digests })).sort()).toEqual([layer, manifest].sort())
  // Pinned to the version before, it serves none of it.
  await db.query("update distribution set version = 0 where name = 'own'")
  expect(await freelyGiven(db, { repositoryId: nowhere, digests })).toEqual([])
})

test('a holder is alone with a generation until somebody else leases it, and never again', async () => {
  const digest = digestOf('leased')
  const lease = async (holder: string) => {
    const [leased] = await leaseBlobs(catalog.db, { holder, digests: [digest], ttlSeconds: 60 })
    return leased?.isAlone
  }
  expect([await lease('sync:1'), await lease('sync:1')]).toEqual([true, true])
  expect([await lease('push:2'), await lease('sync:1'), await lease('push:2')]).toEqual([false, false, false])
})
