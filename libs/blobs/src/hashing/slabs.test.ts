import { expect, test } from '@jest/globals'
import { createSlabPool, type SlabHolder } from './slabs.ts'

const small = { limit: 2, kept: 1, bytes: 16 }

test('no more slabs exist than the limit; who comes later gets them in turn', async () => {
  const pool = createSlabPool(small)
  const [first, second] = [await pool.take(), await pool.take()]
  const order: string[] = []
  const third = pool.take().then((slab) => (order.push('third'), slab))
  const fourth = pool.take().then((slab) => (order.push('fourth'), slab))
  pool.give(second)
  expect(await third).toBe(second)
  pool.give(first)
  expect(await fourth).toBe(first)
  expect(order).toEqual(['third', 'fourth'])
})

test('who waits gets the slab of one whose source is idle, and not of one who is busy', async () => {
  const pool = createSlabPool(small)
  const asked: string[] = []
  const holder = async (name: string): Promise<SlabHolder> => {
    const slab = await pool.take()
    return {
      onWanted() {
        asked.push(name)
        pool.give(slab)
      },
    }
  }
  const [busy, slow] = [await holder('busy'), await holder('slow')]
  pool.idle(busy)
  pool.busy(busy)
  pool.idle(slow)
  await pool.take()
  expect(asked).toEqual(['slow'])
})

test('one that falls idle while others wait is asked at once', async () => {
  const pool = createSlabPool({ ...small, limit: 1 })
  const slab = await pool.take()
  const waiting = pool.take()
  pool.idle({ onWanted: () => pool.give(slab) })
  expect(await waiting).toBe(slab)
})

test('parked bytes count as memory that is taken, and move into the next slab of who parked them', async () => {
  const pool = createSlabPool({ ...small, longestWaitMs: 50 })
  const [first, second] = [await pool.take(), await pool.take()]
  pool.park(first, 10)
  // 16 of 32 bytes are a slab, and 10 are parked: another slab of 16 would be too much.
  await expect(pool.take()).rejects.toMatchObject({ name: 'BlobStoreError', code: 'busy' })
  const again = await pool.take({ parkedBytes: 10 })
  pool.park(again, 10)
  pool.drop(10)
  const third = await pool.take()
  await expect(pool.take()).rejects.toMatchObject({ code: 'busy' })
  for (const slab of [second, third]) pool.give(slab)
})

test('who waits for memory for too long is told so, and who leaves waits no more', async () => {
  const pool = createSlabPool({ limit: 1, kept: 1, bytes: 16, longestWaitMs: 50 })
  const slab = await pool.take()
  await expect(pool.take()).rejects.toMatchObject({ code: 'busy' })
  const leaving = new AbortController()
  const waiting = pool.take({ signal: leaving.signal })
  leaving.abort(new Error('the client has left'))
  await expect(waiting).rejects.toThrow('the client has left')
  const next = pool.take()
  pool.give(slab)
  expect(await next).toBe(slab)
})

test('what is read before there is a slab counts too, takes half of all at most, and moves into the slab', async () => {
  const pool = createSlabPool({ ...small, longestWaitMs: 50 })
  await pool.reserve(10)
  await expect(pool.reserve(10)).rejects.toMatchObject({ code: 'busy' })
  const first = await pool.take()
  // 16 of 32 bytes are a slab, and 10 are reserved.
  await expect(pool.take()).rejects.toMatchObject({ code: 'busy' })
  const second = await pool.take({ reservedBytes: 10 })
  const waiting = pool.reserve(10)
  for (const slab of [first, second]) pool.give(slab)
  await waiting
  pool.release(10)
})
