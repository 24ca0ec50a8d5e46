import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { digestOf, startCatalog } from '../testing/catalog.fixture.ts'
import { leaseBlobs, recordBlobs } from './leases.ts'

let catalog: Awaited<ReturnType<typeof startCatalog>>
beforeAll(async () => {
  catalog = await startCatalog()
})
afterAll(() => catalog?.stop())

test('only the lease that begins a generation calls it new: under any other one somebody may have left bytes', async () => {
  const [layer, beside] = [digestOf(randomUUID()), digestOf(randomUUID())]
  const lease = async (digests: (typeof layer)[]) => {
    const leased = await leaseBlobs(catalog.db, { holder: `sync:${randomUUID()}`, digests, ttlSeconds: 60 })
    return new Map(leased.map((one) => [one.digest, one]))
  }
  const first = (await lease([layer])).get(layer)
  expect(first).toMatchObject({ state: 'write', isNew: true })
  const again = await lease([layer, beside])
  expect(again.get(layer)).toMatchObject({ state: 'write', isNew: false, generation: first?.generation })
  expect(again.get(beside)).toMatchObject({ state: 'write', isNew: true })
  const stored = { digest: layer, generation: first?.generation ?? 0, sizeBytes: 5 }
  await catalog.db.transaction((sql) => recordBlobs(sql, [stored]))
  expect((await lease([layer])).get(layer)).toMatchObject({ state: 'present', isNew: false })
})
