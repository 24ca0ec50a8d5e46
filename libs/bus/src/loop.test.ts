import { expect, test } from '@jest/globals'
import { startLoop } from './loop.ts'

const never = 3_600_000

test('a run that failed is tried again after the short pause, not after the whole interval', async () => {
  let runs = 0
  await new Promise<void>((resolve, reject) => {
    const loop = startLoop({
      pollMs: never,
      pauseAfterFailureMs: 1,
      onError: () => {},
      run: async () => {
        if (++runs < 3) throw new Error('away')
        setImmediate(() => void loop.stop().then(resolve, reject))
      },
    })
  })
  expect(runs).toBe(3)
})

test('a wake during a run makes another run follow it', async () => {
  let runs = 0
  await new Promise<void>((resolve, reject) => {
    const loop = startLoop({
      pollMs: never,
      pauseAfterFailureMs: 1,
      onError: reject,
      run: async () => {
        await Promise.resolve()
        if (++runs === 1) loop.wake()
        else setImmediate(() => void loop.stop().then(resolve, reject))
      },
    })
  })
  expect(runs).toBe(2)
})

test('an interval longer than a timer of node can be is waited for, and not one without any pause', async () => {
  let runs = 0
  const twice = Promise.withResolvers<void>()
  const loop = startLoop({
    pollMs: 2_592_000_000,
    pauseAfterFailureMs: 1,
    onError: twice.reject,
    run: async () => {
      if (++runs === 2) twice.resolve()
    },
  })
  // Without a wait the second run would be there a millisecond later.
  const later = new Promise<string>((resolve) => void setTimeout(resolve, 100, 'waits'))
  expect(await Promise.race([twice.promise, later])).toBe('waits')
  loop.wake()
  await twice.promise
  await loop.stop()
})
