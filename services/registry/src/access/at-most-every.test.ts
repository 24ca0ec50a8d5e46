import { until } from '@berth/service/testing'
import { expect, test } from '@jest/globals'
import { atMostEvery } from './at-most-every.ts'

test('what is asked for again and again is done once at once and once after the pause', async () => {
  let done = 0
  const refresh = atMostEvery(100, () => void done++)
  for (let n = 0; n < 1_000; n++) refresh.call()
  expect(done).toBe(1)
  await until(async () => done === 2)
  refresh.stop()
})
