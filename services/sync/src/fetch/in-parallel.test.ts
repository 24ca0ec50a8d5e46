import { expect, test } from '@jest/globals'
import { inParallel, oneAhead } from './in-parallel.ts'

test('work goes one item ahead of what is used, and no further', async () => {
  const begun: number[] = []
  const results = oneAhead([1, 2, 3, 4], async (item) => {
    begun.push(item)
    return item * 10
  })
  expect(await results.next()).toEqual({ value: 10, done: false })
  expect(begun).toEqual([1, 2])
  const rest: number[] = []
  for await (const result of results) rest.push(result)
  expect(rest).toEqual([20, 30, 40])
})

test('a failure comes in its turn, after the results before it; that of an item nobody asks for disturbs nobody', async () => {
  const failing = () =>
    oneAhead(['good', 'bad'], async (item) => {
      if (item === 'bad') throw new Error('no good')
      return item
    })
  const results = failing()
  expect(await results.next()).toEqual({ value: 'good', done: false })
  await expect(results.next()).rejects.toThrow('no good')
  for await (const result of failing()) {
    expect(result).toBe('good')
    break
  }
})

test('a failure does not wait for items that have not come yet', async () => {
  async function* stuck() {
    yield 'bad'
    await new Promise(() => {})
  }
  const working = inParallel(stuck(), 2, new AbortController().signal, async () => {
    throw new Error('no good')
  })
  await expect(working).rejects.toThrow('no good')
})
