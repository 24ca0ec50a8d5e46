import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import type { Digest } from '@berth/oci'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { leaseBlobs, recordBlobs } from '../leases/leases.ts'
import { streamRows } from '../served/rows.ts'
import { commitStage } from '../stages/commit-stage.ts'
import { stageContent } from '../stages/stage-content.ts'
import { announceHealed } from '../store/damage.ts'
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
  const text = `manifest of ${name}`
  const digest = digestOf(text)
  const leases = await leaseBlobs(yard.db, { holder, digests: [layer, digest], ttlSeconds: leaseSeconds })
  const generation = leases.find((lease) => lease.digest === digest)?.generation ?? 0
  const stored = { digest, generation, sizeBytes: text.length }
  await yard.blobs.write({ digest, generation }, Readable.from([Buffer.from(text)]))
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

test('a push of one that is still upstream brings it, and registry hears where it lies', async () => {
  const { layer } = await deferred('pushed/app')
  expect(await push(yard, 'pushed/app', 'layer of pushed/app')).toBe(layer)
  const now = await stateOf(yard, layer)
  expect(now).toMatchObject({ state: 'present' })
  expect(await yard.blobs.stat({ digest: layer, generation: now?.generation ?? 0 })).toBeDefined()
  const repositoryId = await idOf(yard.db, 'pushed/app')
  const [change] = await announceHealed(yard.db)
  expect(change).toMatchObject({ repositoryId })
  const rows = await Array.fromAsync(streamRows(yard.db, repositoryId, (change?.revision ?? 0) - 1))
  expect(rows).toContainEqual(
    expect.objectContaining({ kind: 'blob-facts', digest: layer, generation: now?.generation }),
  )
})

test('bytes that are here, or come while a sync looks, are not taken for remote', async () => {
  const layer = await push(yard, 'here/app', 'here already')
  const stage = randomUUID()
  await stageContent(yard.db, { stage, fence: 1, manifests: [], tags: [], deferred: [{ digest: layer, sizeBytes: 1 }] })
  expect(await stateOf(yard, layer)).toMatchObject({ state: 'present' })
})
