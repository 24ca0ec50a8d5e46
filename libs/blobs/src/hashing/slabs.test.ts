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
