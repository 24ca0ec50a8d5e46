import type { Digest } from '@berth/oci'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { leaseBlobs, recordBlobs } from '../leases/leases.ts'
import { digestOf } from '../testing/catalog.fixture.ts'
import {
  drop,
  endLeases,
  push,
  pushImage,
  startYard,
  stateOf,
  storedDigests,
  type Yard,
} from '../testing/collect.fixture.ts'
import { discardLeased } from './discard.ts'

let yard: Yard
beforeAll(async () => {
  yard = await startYard()
})
afterAll(() => yard?.stop())

const discard = (holder: string, isAlone = true) =>
  discardLeased({ ...yard, cleaner: { isAlone: async () => isAlone } as never, log: console as never }, holder)

/** As a build keeps what it was sent: leased, written, recorded. */
async function keep(holder: string, text: string): Promise<Digest> {
  const { db, blobs } = yard
  const digest = digestOf(text)
  const [lease] = await leaseBlobs(db, { holder, digests: [digest], ttlSeconds: 3_600 })
  if (lease?.state === 'present') return digest
  const key = { digest, generation: lease?.generation ?? 0 }
  await blobs.write(
    key,
    (async function* () {
      yield Buffer.from(text)
    })(),
  )
  await recordBlobs(db, [{ ...key, sizeBytes: text.length }])
  return digest
}

test('what a holder alone wanted is gone when it lets go, and what others want stays', async () => {
  const alone = await keep('build:1', 'a context')
  const shared = await keep('build:1', 'the context of two')
  await keep('build:2', 'the context of two')
  const pushed = await push(yard, 'team/app', 'a layer')
  await pushImage(yard, 'team/app', { name: 'app', blobs: [pushed] }, ['1'])
  await endLeases(yard)
  await yard.db.query(`update lease set expires_at = now() + interval '1 hour' where holder like 'build:%'`)
  await keep('build:1', 'a layer')
  await discard('build:1')
  const stored = await storedDigests(yard)
  expect(stored).not.toContain(alone)
  expect(await stateOf(yard, alone)).toBeUndefined()
  expect(stored).toEqual(expect.arrayContaining([shared, pushed]))
  await discard('build:2')
  expect(await storedDigests(yard)).not.toContain(shared)
})

test('what a repository has had is left to the collector and its grace, for somebody may be reading it', async () => {
  const layer = await push(yard, 'team/left', 'what was here before')
  const image = await pushImage(yard, 'team/left', { name: 'left', blobs: [layer] }, ['1'])
  await pushImage(yard, 'team/left', { name: 'stays' }, ['2'])
  await drop(yard, 'team/left', image)
  await endLeases(yard)
  await keep('build:3', 'what was here before')
  await discard('build:3')
  expect(await storedDigests(yard)).toContain(layer)
})

test('nothing is removed while another installation deletes in the store', async () => {
  const kept = await keep('build:4', 'on a shared store')
  await discard('build:4', false)
  expect(await storedDigests(yard)).toContain(kept)
})
