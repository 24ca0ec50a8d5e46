import { randomUUID } from 'node:crypto'
import type { Digest } from '@berth/oci'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { leaseBlobs, recordBlobs } from '../leases/leases.ts'
import { commitStage } from '../stages/commit-stage.ts'
import { stageContent } from '../stages/stage-content.ts'
import { contentOf, digestOf, idOf } from '../testing/catalog.fixture.ts'
import {
  drop,
  endLeases,
  leaseSeconds,
  push,
  pushImage,
  runCollector,
  startYard,
  stateOf,
  store,
  type Yard,
} from '../testing/collect.fixture.ts'

let yard: Yard
beforeAll(async () => {
  yard = await startYard()
})
afterAll(() => yard?.stop())

/** Syncs an image of one layer that stays upstream into a repository that was pushed to. */
async function deferred(name: string): Promise<{ layer: Digest; image: Digest }> {
  const [holder, stage] = [`sync:${name}`, randomUUID()]
  await pushImage(yard, name, { name: `pushed ${name}`, blobs: [await push(yard, name, `pushed ${name}`)] }, ['pushed'])
  const layer = digestOf(`layer of ${name}`)
  await leaseBlobs(yard.db, { holder, digests: [layer], ttlSeconds: leaseSeconds })
  const stored = await store(yard, name, `manifest of ${name}`)
  const reference = {
    role: 'layer' as const,
    digest: layer,
    mediaType: 'x',
    sizeBytes: 500,
    optional: false,
    platform: undefined,
  }
  const manifest = {
    ...stored,
    mediaType: 'image',
    isIndex: false,
    artifactType: undefined,
    subject: undefined,
    annotations: {},
    references: [reference],
  }
  const tags = [{ name: 'synced', digest: stored.digest }]
  await stageContent(yard.db, {
    stage,
    fence: 1,
    manifests: [manifest],
    tags,
    deferred: [{ digest: layer, sizeBytes: 500 }],
  })
  const commit = {
    repositoryId: await idOf(yard.db, name),
    stage,
    fence: 1,
    actor: { id: null, name: 'ana' },
    taskId: null,
    force: false,
  }
  await commitStage(yard.db, { ...commit, cause: 'sync', mode: 'additive' })
  await endLeases(yard)
  return { layer, image: stored.digest }
}

test('a layer that is still upstream stays as long as a version has it, and goes with the last one', async () => {
  const { layer, image } = await deferred('kept/app')
  expect((await contentOf(yard.db, 'kept/app')).blobs).toContain(layer)
  await runCollector(yard)
  expect(await stateOf(yard, layer)).toMatchObject({ state: 'remote' })
  await drop(yard, 'kept/app', image)
  await endLeases(yard)
  expect(await runCollector(yard)).toMatchObject({ notFound: 0 })
  expect(await stateOf(yard, layer)).toBeUndefined()
})

test('one that is being fetched is kept by its lease, and is then here like any other', async () => {
  const { layer, image } = await deferred('fetched/app')
  const lease = { holder: `on-demand:${layer}`, digests: [layer], ttlSeconds: leaseSeconds }
  const [leased] = await leaseBlobs(yard.db, lease)
  expect(leased).toMatchObject({ state: 'write', sizeBytes: 500 })
  await drop(yard, 'fetched/app', image)
  await runCollector(yard)
  const generation = leased?.generation ?? 0
  await yard.db.transaction((sql) => recordBlobs(sql, [{ digest: layer, generation, sizeBytes: 500 }]))
  expect(await stateOf(yard, layer)).toMatchObject({ state: 'present', generation })
})

test('a push of one that is still upstream brings it, and no second place for its bytes', async () => {
  const { layer } = await deferred('pushed/app')
  const before = await stateOf(yard, layer)
  expect(await push(yard, 'pushed/app', 'layer of pushed/app')).toBe(layer)
  expect(await stateOf(yard, layer)).toEqual({ state: 'present', generation: before?.generation })
})

test('bytes that are here, or come while a sync looks, are not taken for remote', async () => {
  const layer = await push(yard, 'here/app', 'here already')
  const stage = randomUUID()
  await stageContent(yard.db, { stage, fence: 1, manifests: [], tags: [], deferred: [{ digest: layer, sizeBytes: 1 }] })
  expect(await stateOf(yard, layer)).toMatchObject({ state: 'present' })
})
