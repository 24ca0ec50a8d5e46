import { expect, test } from '@jest/globals'
import { testS3Place } from '../servers/s3-place.ts'
import { type SoakReport, soak } from '../soak/soak.ts'

// A share of `npm run soak`, which does 2,000 and then as many with catalog killed every few seconds.
const pushes = 90 * Number(process.env.BERTH_TEST_RUNS ?? 1)
const seed = Number(process.env.BERTH_TEST_SEED ?? 20_261_122)

const expectAllKept = (report: SoakReport, acknowledged: number) => {
  expect(report).toMatchObject({ acknowledged, refused: [], missing: [] })
  expect(report.objects).toBe(report.wanted)
  // Base layers really were garbage, and came back.
  expect(report.returned).toBeGreaterThan(0)
}

test('eight pushers that share layers and delete lose nothing to a collector without grace, and it leaves nothing', async () => {
  expectAllKept(await soak({ seed, pushes, kills: false }), pushes)
}, 120_000)

// Just enough for base layers to come back after their turn.
const pushesOnS3 = 60 * Number(process.env.BERTH_TEST_RUNS ?? 1)
const hasS3 = testS3Place() !== undefined
const onS3 = hasS3 ? test : test.skip
onS3(
  `so it is with the bytes in a bucket${hasS3 ? '' : ` (no S3: ${process.env.BERTH_TEST_NO_S3})`}`,
  async () => {
    expectAllKept(await soak({ seed, pushes: pushesOnS3, kills: false, store: 's3' }), pushesOnS3)
  },
  120_000,
)
