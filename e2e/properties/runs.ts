import fc from 'fast-check'

/**
 * Checks a property on generated cases. Always the same ones, unless BERTH_TEST_SEED says otherwise; BERTH_TEST_RUNS makes it
 * that many times as many. What fails is shrunk and shown with its seed and path, by which it can be run again.
 */
export async function checkProperty<T extends [unknown, ...unknown[]]>(
  runs: number,
  arbitraries: { [K in keyof T]: fc.Arbitrary<T[K]> },
  holds: (...values: T) => Promise<void>,
): Promise<void> {
  const seed = Number(process.env.BERTH_TEST_SEED ?? 20_261_122)
  const numRuns = runs * Number(process.env.BERTH_TEST_RUNS ?? 1)
  // Shrinking runs the case again and again; a request that hangs must not make that endless.
  await fc.assert(fc.asyncProperty<T>(...arbitraries, holds), {
    seed,
    numRuns,
    interruptAfterTimeLimit: 600_000,
    markInterruptAsFailure: true,
  })
}
