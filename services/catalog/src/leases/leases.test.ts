import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { digestOf, startCatalog } from '../testing/catalog.fixture.ts'
import { leaseBlobs, leasePresent, recordBlobs } from './leases.ts'

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

test('what is here is leased by its digest alone, and what is not here is not', async () => {
  const { db } = catalog
  const digest = digestOf(randomUUID())
  const lease = () => leasePresent(db, { digest, holder: 'compare:team/app', ttlSeconds: 60 })
  const leases = () => db.query('select from lease where digest = $1 and expires_at > now()', [digest])
  expect(await lease()).toBeNull()
  const [begun] = await leaseBlobs(db, { holder: 'sync:one', digests: [digest], ttlSeconds: 60 })
  expect(await lease()).toBeNull()
  const stored = { digest, generation: begun?.generation ?? 0, sizeBytes: 5 }
  await db.transaction((sql) => recordBlobs(sql, [stored]))
  await db.query('delete from lease where digest = $1', [digest])
  await db.query('update blob set candidate_since = now() where digest = $1', [digest])
  for (let time = 0; time < 2; time++) expect(await lease()).toEqual(stored)
  expect(await leases()).toHaveLength(1)
  expect(await db.query('select candidate_since as since from blob where digest = $1', [digest])).toEqual([
    { since: null },
  ])
})
