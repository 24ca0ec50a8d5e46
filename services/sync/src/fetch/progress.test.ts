import { expect, test } from '@jest/globals'
import { createProgressView, newProgress } from './progress.ts'

function start() {
  const clock = { ms: 1_000_000 }
  const progress = newProgress()
  const show = createProgressView(progress, () => clock.ms)
  const phase = (name: string) => show().find((one) => one.phase === name)
  return { clock, progress, phase }
}

test('bytes that come have a rate and an end in sight; those that were here do not count for it', () => {
  const { clock, progress, phase } = start()
  Object.assign(progress, { bytes: { done: 5_000, total: 25_000 } })
  for (let second = 0; second < 20; second++) {
    clock.ms += 1_000
    progress.fetchedBytes += second < 10 ? 100 : 1_000
    progress.bytes.done += second < 10 ? 100 : 1_000
    phase('bytes')
  }
  expect(phase('bytes')).toMatchObject({ done: 16_000, perSecond: 1_000, etaSeconds: 9 })
  clock.ms += 10_000
  expect(phase('bytes')).toMatchObject({ perSecond: expect.any(Number) })
  clock.ms += 10_000
  expect(phase('bytes')).toMatchObject({ perSecond: 0 })
  expect(phase('bytes')?.etaSeconds).toBeUndefined()
  progress.bytes.done = 25_000
  expect(phase('bytes')).toEqual({ phase: 'bytes', unit: 'bytes', done: 25_000, total: 25_000 })
})

test('a pause is told in the phase that is under way, until it is over', () => {
  const { clock, progress, phase } = start()
  const until = new Date(clock.ms + 5_000)
  progress.pause = { until, reason: 'the limit of an hour is used up' }
  const told = { pausedUntil: until.toISOString(), reason: 'the limit of an hour is used up' }
  expect(phase('tags')).toMatchObject(told)
  progress.manifests.total = 3
  expect(phase('tags')?.pausedUntil).toBeUndefined()
  expect(phase('manifests')).toMatchObject(told)
  clock.ms += 5_000
  expect(phase('manifests')?.pausedUntil).toBeUndefined()
})
