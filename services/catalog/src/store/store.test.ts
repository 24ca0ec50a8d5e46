import { randomUUID } from 'node:crypto'
import { openDatabase } from '@berth/service'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { planCollection } from '../collect/plan.ts'
import { digestOf } from '../testing/catalog.fixture.ts'
import {
  drop,
  endLeases,
  push,
  pushImage,
  runCollector,
  startYard,
  stateOf,
  type Yard,
} from '../testing/collect.fixture.ts'
import { explain } from './explain.ts'
import { listCandidates } from './lists.ts'
import { readRepositoryBytes, readStoreTotals } from './totals.ts'

let yard: Yard
beforeAll(async () => {
  yard = await startYard()
})
afterAll(() => yard?.stop())

test('what is shared counts once for the store, and for each repository that has it', async () => {
  const shared = await push(yard, 'facts/a', 'shared')
  await push(yard, 'facts/b', 'shared')
  const own = await push(yard, 'facts/a', 'own bytes')
  await pushImage(yard, 'facts/a', { name: 'a', blobs: [shared, own] }, ['t'])
  await pushImage(yard, 'facts/b', { name: 'b', blobs: [shared] }, ['t'])
  const sizes = await yard.db.query<{ sizeBytes: number }>('select size_bytes as "sizeBytes" from blob')
  const stored = sizes.reduce((sum, row) => sum + row.sizeBytes, 0)
  expect(await readStoreTotals(yard.db)).toMatchObject({
    objects: 4,
    uniqueBytes: stored,
    sharedBytes: 6,
    logicalBytes: stored + 6,
    repositories: 2,
    candidates: { objects: 0, bytes: 0 },
  })
  const [a, b] = await readRepositoryBytes(yard.db, { after: '', limit: 10 })
  expect(a).toMatchObject({ name: 'facts/a', objects: 3, sharedBytes: 6 })
  expect(b).toMatchObject({ name: 'facts/b', objects: 2, sharedBytes: 6 })
  expect((a?.logicalBytes ?? 0) + (b?.logicalBytes ?? 0)).toBe(stored + 6)
  expect(a?.uniqueBytes).toBe((a?.logicalBytes ?? 0) - 6)
})

test('G10: a dry run names exactly what a run then removes, and needs no right to write', async () => {
  const layer = await push(yard, 'plan/a', 'planned')
  const image = await pushImage(yard, 'plan/a', { name: 'planned', blobs: [layer] }, ['t'])
  await pushImage(yard, 'plan/a', { name: 'stays' }, ['stays'])
  const alone = await push(yard, 'plan/a', 'linked and never named')
  await drop(yard, 'plan/a', image)
  await endLeases(yard)

  const role = `reader_${randomUUID().replaceAll('-', '')}`
  await yard.db.query(`create role ${role}`)
  const reader = openDatabase({ url: yard.url, schema: 'catalog' })
  try {
    await yard.db.query(`grant usage on schema catalog to ${role}`)
    await yard.db.query(`grant select on all tables in schema catalog to ${role}`)
    reader.pool.on('connect', (connection) => void connection.query(`set role ${role}`))
    const plan = await planCollection(reader, 0)
    expect(plan.items.map((item) => item.digest).sort()).toEqual([layer, image, alone].sort())
    expect(plan).toMatchObject({ dryRun: true, candidates: 3, due: 3, dueBytes: plan.bytes })
    expect(plan.items[0]).toMatchObject({ reason: 'unreferenced', due: true })
    const result = await runCollector(yard)
    expect(result).toMatchObject({ removed: 3, removedBytes: plan.bytes })
    expect(await planCollection(reader, 0)).toMatchObject({ candidates: 0, items: [] })
  } finally {
    await reader.close()
    await yard.db.query(`drop owned by ${role}`)
    await yard.db.query(`drop role ${role}`)
  }
})

test('a dry run says when each goes, as the grace time has it', async () => {
  await push(yard, 'plan/b', 'for later')
  await endLeases(yard)
  await yard.db.query("update blob_link set linked_at = now() - interval '1 hour'")
  await runCollector(yard, { graceSeconds: 600 })
  expect(await planCollection(yard.db, 600)).toMatchObject({ candidates: 1, due: 0, dueBytes: 0 })
  const [candidate] = await listCandidates(yard.db, { after: '', limit: 10, graceSeconds: 600 })
  expect(candidate).toMatchObject({ digest: digestOf('for later'), bytes: 9, reason: 'unreferenced' })
  expect(Date.parse(candidate?.goesAt ?? '') - Date.parse(candidate?.candidateSince ?? '')).toBe(600_000)
  await runCollector(yard)
})

test('a digest is explained by all that keeps it', async () => {
  const repository = 'explained/a'
  const layer = await push(yard, repository, 'explained')
  const image = await pushImage(yard, repository, { name: 'explained', blobs: [layer] }, ['v1', 'latest'])
  const referrer = await pushImage(yard, repository, { name: 'refers', subject: image }, [])
  expect(await explain(yard.db, layer, 60)).toMatchObject({
    state: 'present',
    isNeeded: true,
    candidateSince: null,
    goesAt: null,
    repositories: [{ name: repository, as: 'blob', versions: [1], isLoose: false }],
    links: [{ repository, keptUntil: expect.any(String) }],
    leases: [],
    namedBy: [{ digest: image, role: 'layer', isNeeded: true }],
  })
  expect(await explain(yard.db, image, 60)).toMatchObject({
    repositories: [{ as: 'manifest', versions: [1], tags: ['latest', 'v1'] }],
    referrers: [referrer],
    namedBy: [],
  })
  expect(await explain(yard.db, referrer, 60)).toMatchObject({ repositories: [{ versions: [], isLoose: true }] })
  expect(await explain(yard.db, digestOf('never seen'), 60)).toBeUndefined()
})

test('a digest that nothing keeps is explained by when it goes', async () => {
  const digest = await push(yard, 'explained/b', 'goes')
  await endLeases(yard)
  await yard.db.query("update blob_link set linked_at = now() - interval '1 hour'")
  await runCollector(yard, { graceSeconds: 600 })
  const explained = await explain(yard.db, digest, 600)
  expect(explained).toMatchObject({ isNeeded: false, repositories: [], links: [], leases: [] })
  expect(Date.parse(explained?.goesAt ?? '') - Date.parse(explained?.candidateSince ?? '')).toBe(600_000)
  await runCollector(yard)
  expect(await stateOf(yard, digest)).toBeUndefined()
})
