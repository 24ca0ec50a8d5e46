import { randomUUID } from 'node:crypto'
import { rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { BlobStore } from '@berth/blobs'
import type { Digest } from '@berth/oci'
import { createLogger } from '@berth/service'
import { until } from '@berth/service/testing'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { push, startYard, stateOf, type Yard } from '../testing/collect.fixture.ts'
import { scrubRound, startLooking } from './scrub-by-rounds.ts'
import { keepRound, lastRound, takeRound } from './scrub-rounds.ts'

const log = createLogger({ service: 'catalog', silent: true })
// One object a second, and as fast as it goes.
const [slow, fast] = [64 << 10, 2 ** 40]
let yard: Yard
beforeAll(async () => {
  yard = await startYard()
})
afterAll(() => yard?.stop())
beforeEach(async () => {
  await yard.db.query('truncate scrub_round')
})

const start = (bytesPerSecond: number, blobs: BlobStore = yard.blobs) => {
  const deps = { db: yard.db, blobs, log }
  const stopping = new AbortController()
  const { signal } = stopping
  const looking = startLooking(deps, 1_000)
  const round = scrubRound(deps, { holder: randomUUID(), bytesPerSecond, signal }).catch((error: unknown) => {
    if (!signal.aborted) throw error
  })
  return {
    stop: async () => {
      stopping.abort()
      await round
      await looking.stop()
    },
  }
}
const isFinished = async () => typeof (await lastRound(yard.db))?.finishedAt === 'string'
const fileOf = (digest: Digest) => {
  const hex = digest.slice('sha256:'.length)
  return stateOf(yard, digest).then((state) =>
    join(yard.folder, 'blobs/sha256', hex.slice(0, 2), `${hex}.${state?.generation}`),
  )
}

test('a round goes on where it was, on another replica too, and looks at each object once', async () => {
  const digests = await Promise.all(Array.from({ length: 6 }, (_, i) => push(yard, 'team/round', `round ${i}`)))
  const opened: Digest[] = []
  const blobs: BlobStore = {
    ...yard.blobs,
    open: (key) => {
      opened.push(key.digest)
      return yard.blobs.open(key)
    },
  }
  const first = start(slow, blobs)
  await until(async () => opened.length > 1)
  // While it goes on, nobody else begins.
  expect(await takeRound(yard.db, { holder: randomUUID(), leaseSeconds: 60 })).toBeUndefined()
  await first.stop()
  expect(opened.length).toBeLessThan(digests.length)
  expect(await lastRound(yard.db)).toMatchObject({ finishedAt: null })

  const second = start(fast, blobs)
  await until(isFinished)
  await second.stop()
  // The one that was being looked at when it was stopped may be looked at again.
  expect(opened.length - new Set(opened).size).toBeLessThanOrEqual(1)
  expect([...new Set(opened)].sort()).toEqual([...digests].sort())
  expect((await lastRound(yard.db))?.damaged).toBe(0)
})

test('whose lease ran out has lost the round to the next one, and the next round begins when it is over', async () => {
  const [one, other] = [randomUUID(), randomUUID()]
  const take = (holder: string) => takeRound(yard.db, { holder, leaseSeconds: 60 })
  const nothing = { checked: 0, checkedBytes: 0, damaged: 0 }
  const round = await take(one)
  expect(await take(other)).toBeUndefined()
  expect((await take(one))?.id).toBe(round?.id)
  await yard.db.query("update scrub_round set lease_until = now() - interval '1 second'")
  expect(await take(other)).toEqual(round)
  const id = round?.id as string
  expect(await keepRound(yard.db, { id, holder: one, leaseSeconds: 60 }, nothing)).toBe(false)
  expect(await keepRound(yard.db, { id, holder: other, leaseSeconds: 60 }, { ...nothing, checked: 3 })).toBe(true)
  expect(await lastRound(yard.db)).toMatchObject({ checked: 3 })
  await yard.db.query('update scrub_round set finished_at = now()')
  expect(await take(one)).toMatchObject({ id: expect.not.stringMatching(id) })
})

test('a round finds damage, and what was missing is found again without waiting for the next one', async () => {
  const lost = await push(yard, 'team/missing', 'away for a while')
  const gone = await push(yard, 'team/missing', 'gone for good')
  const file = await fileOf(lost)
  await rename(file, `${file}.aside`)
  await rm(await fileOf(gone))
  const first = start(fast)
  await until(isFinished)
  await first.stop()
  expect(await lastRound(yard.db)).toMatchObject({ damaged: 2 })
  expect(await stateOf(yard, lost)).toMatchObject({ state: 'writing' })

  await rename(`${file}.aside`, file)
  await yard.db.query("update blob set checked_at = now() - interval '61 minutes' where digest = any($1)", [
    [lost, gone],
  ])
  const later = start(fast)
  await until(async () => (await stateOf(yard, lost))?.state === 'present')
  await later.stop()
  expect(await stateOf(yard, gone)).toMatchObject({ state: 'writing' })
})

test('what was missing is found again while a round goes on that has passed it', async () => {
  const digests = await Promise.all(Array.from({ length: 8 }, (_, i) => push(yard, 'team/passed', `passed ${i}`)))
  const [lost] = digests.sort()
  const lookedAt = (when: string) =>
    yard.db.query(`update blob set checked_at = now() + $2::interval where digest = $1`, [lost, when])
  await yard.db.query("update blob set state = 'writing', damage = 'missing' where digest = $1", [lost])
  await lookedAt('1 hour')
  const opened: Digest[] = []
  const blobs: BlobStore = {
    ...yard.blobs,
    open: (key) => {
      opened.push(key.digest)
      return yard.blobs.open(key)
    },
  }
  const scrubbing = start(slow, blobs)
  await until(async () => opened.some((digest) => digest > (lost ?? '')))
  const round = await lastRound(yard.db)
  await lookedAt('-61 minutes')
  await until(async () => (await stateOf(yard, lost as Digest))?.state === 'present')
  expect(await lastRound(yard.db)).toMatchObject({ startedAt: round?.startedAt, finishedAt: null })
  await scrubbing.stop()
})
