import { expect, test } from '@jest/globals'
import { soak } from './soak/soak.ts'

// A share of `npm run soak`, which does 2,000 and then as many with catalog killed every few seconds.
const pushes = 150 * Number(process.env.BERTH_TEST_RUNS ?? 1)
const seed = Number(process.env.BERTH_TEST_SEED ?? 20_261_122)

test('eight pushers that share layers and delete lose nothing to a collector without grace, and it leaves nothing', async () => {
  const report = await soak({ seed, pushes, kills: false })
  expect(report).toMatchObject({ acknowledged: pushes, refused: [], missing: [] })
  expect(report.objects).toBe(report.wanted)
  // Base layers really were garbage, and came back.
  expect(report.returned).toBeGreaterThan(0)
}, 120_000)
