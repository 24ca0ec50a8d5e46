import { readdirSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { isAlive, until } from '../berth/processes.ts'
import { expectServed, startTraffic } from '../berth/pushed-images.ts'
import { pidOf } from '../berth/replicas.ts'
import { startTestStack, type TestStack } from '../berth/stack.ts'
import { cutPower, damageUnflushed } from '../soak/power-cut.ts'
import { randomOf } from '../soak/pushers.ts'

const seed = Number(process.env.BERTH_TEST_SEED ?? 20_261_130)
const logsOf = (stack: TestStack) =>
  readdirSync(path.join(stack.home, 'blobs/staging')).filter((name) => name.startsWith('journal.'))

// A share of `npm run soak -- power-cut`, which does it fifty times.
test('after a power cut in the middle of pushes all that was acknowledged is served, and no old tag; also by a start without a journal', async () => {
  const stack = await startTestStack({ embeddedDatabase: true, ownGroup: true })
  try {
    const lastStart = { BERTH_BLOBS_JOURNAL: 'false' }
    const { wrong, images, damaged } = await cutPower(stack, { seed, rounds: 2, lastStart })
    expect({ wrong, hasPushed: images > 10, hasDamaged: damaged > 10 }).toEqual({
      wrong: [],
      hasPushed: true,
      hasDamaged: true,
    })
    const without = startTraffic(stack, 4)
    await until('some images are pushed', () => without.acknowledged.length >= 10)
    expect(logsOf(stack)).toEqual([])
    await without.stop()
  } finally {
    await stack.stop()
  }
}, 120_000)

let stack: TestStack
beforeAll(async () => {
  stack = await startTestStack({ env: { BERTH_PROCESSES: 'true' } })
}, 60_000)
afterAll(() => stack.stop())

test('of services as processes each has a journal: that of a dead one is replayed before it is back, and at a stop none is left', async () => {
  const traffic = startTraffic(stack, 4)
  await until('some images are pushed', () => traffic.acknowledged.length >= 20)
  const killed = pidOf(stack, 'registry')
  // So that it is not started again before its files are damaged.
  process.kill(stack.pid, 'SIGSTOP')
  process.kill(killed, 'SIGKILL')
  await until('registry is dead', () => !isAlive(killed))
  expect(logsOf(stack).every((name) => /^journal\.[0-9a-f]+\.registry\./.test(name))).toBe(true)
  damageUnflushed(path.join(stack.home, 'blobs'), randomOf(seed))
  process.kill(stack.pid, 'SIGCONT')
  await until('registry is back', () => fetch(`${stack.url}/readyz`).then(({ status }) => status === 200), 30_000)
  const atLeast = traffic.acknowledged.length + 10
  await until('pushes go on', () => traffic.acknowledged.length >= atLeast)
  await traffic.stop()
  expect(pidOf(stack, 'registry')).not.toBe(killed)
  await expectServed(stack, traffic.acknowledged)
  await stack.kill('SIGTERM')
  expect(logsOf(stack)).toEqual([])
}, 120_000)
