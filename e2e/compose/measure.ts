import { setTimeout as pause } from 'node:timers/promises'
import { expect } from '@jest/globals'
import type { Berth } from '../berth/berth.ts'
import { type Load, startLoad } from './load.ts'

const warmMs = 2_000
const measuredMs = 10_000
const clients = 8

/** How many images are pushed and pulled a second, by so many clients of each kind, one kind after the other. */
export async function measure(stack: Berth, namespace: string): Promise<string> {
  const pushes = startLoad(stack, { pushers: clients, pullers: 0, namespace })
  const pushed = await perSecond(pushes, () => pushes.acknowledged.length)
  const pulls = startLoad(stack, { pushers: 0, pullers: clients, known: pushes.acknowledged })
  const pulled = await perSecond(pulls, () => pulls.pulls)
  return `${pushed.toFixed(1)} pushes/s, ${pulled.toFixed(1)} pulls/s`
}

async function perSecond(load: Load, count: () => number): Promise<number> {
  await pause(warmMs)
  const [from, startedAt] = [count(), performance.now()]
  await pause(measuredMs)
  const rate = ((count() - from) * 1_000) / (performance.now() - startedAt)
  await load.stop()
  expect(load.failed).toEqual([])
  return rate
}
