import type { Digest } from '@berth/oci'
import { expect, test } from '@jest/globals'
import { createBlobLine } from './blob-line.ts'

const blob = (name: number) => ({ digest: `sha256:${name}` as Digest, sizeBytes: 1, isLayer: true })

test('what waits is given at once, no more than so many at a time; whoever finds nothing waits for the next', async () => {
  const line = createBlobLine()
  for (const name of [1, 2, 3]) line.add(blob(name))
  const batches = line.batches(2)[Symbol.asyncIterator]()
  expect((await batches.next()).value).toEqual(['sha256:1', 'sha256:2'])
  expect((await batches.next()).value).toEqual(['sha256:3'])
  const next = batches.next()
  line.add(blob(4))
  expect((await next).value).toEqual(['sha256:4'])
  expect(line.needed.size).toBe(4)
})

test('it ends when nothing will come, and not before all that came was given', async () => {
  const line = createBlobLine()
  line.add(blob(1))
  line.end()
  expect(await Array.fromAsync(line.batches(10))).toEqual([['sha256:1']])
  const empty = createBlobLine()
  const all = Array.fromAsync(empty.batches(10))
  empty.end()
  expect(await all).toEqual([])
})
