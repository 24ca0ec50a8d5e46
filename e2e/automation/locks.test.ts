import { expect, test } from '@jest/globals'
import { findViolations } from './lock-history.ts'
import { tortureLocks } from './lock-torture.ts'

// A share of `npm run soak -- locks`.
const tasks = 120 * Number(process.env.BERTH_TEST_RUNS ?? 1)
const seed = Number(process.env.BERTH_TEST_SEED ?? 17)

test(`${tasks} tasks with shared and exclusive locks never run beside what excludes them, nor overtake it (seed ${seed})`, async () => {
  const report = await tortureLocks({ seed, tasks, resources: 8, replicas: 2, claimers: 8 })
  expect(report.violations).toEqual([])
  // Else nothing was shown.
  expect(report.atOnce).toBeGreaterThan(1)
}, 120_000)

test('the witness of the locks sees two that run at once, one that overtakes, and one that is left', () => {
  const locked = (id: string, alone: boolean, from: number) => ({
    id,
    locks: new Map([['r', alone]]),
    from,
    until: from + 1,
  })
  const [a, b, c] = [locked('a', true, 0), locked('b', false, 10), locked('c', false, 20)]
  const step = (task: string, state: string) => ({ task, state })
  const sharing = [step('a', 'running'), step('a', 'completed'), step('b', 'running'), step('c', 'running')]
  const ends = [step('b', 'completed'), step('c', 'completed')]
  expect(findViolations([a, b, c], [...sharing, ...ends])).toEqual({ atOnce: 2, violations: [] })
  const told = (...steps: { task: string; state: string }[]) => findViolations([a, b, c], steps).violations.join()
  expect(told(...sharing, step('c', 'completed'))).toContain('1 tasks run still')
  expect(told(step('a', 'running'), step('b', 'running'))).toContain('b got r beside a')
  expect(told(step('b', 'running'), step('b', 'completed'), step('a', 'running'))).toContain('b overtook a')
  expect(told(step('a', 'running'), step('a', 'completed'))).toContain('b never ran')
})
