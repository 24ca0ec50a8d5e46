import { expect, test } from '@jest/globals'
import { nemesis } from './nemesis.ts'

// A share of `npm run soak -- nemesis`, which goes on for half an hour.
const seconds = 15 * Number(process.env.BERTH_TEST_RUNS ?? 1)
const seed = Number(process.env.BERTH_TEST_SEED ?? 20_261_128)

test(
  `while Berth, PostgreSQL and NATS are killed at random, all that is acknowledged is served right`,
  async () => {
    const report = await nemesis({ seed, seconds })
    expect(report.violations).toEqual([])
    for (const work of ['pushes', 'pulls', 'syncs', 'rollbacks', 'collections'])
      expect([work, report.counts[work]]).toEqual([work, expect.any(Number)])
  },
  (seconds + 240) * 1_000,
)
