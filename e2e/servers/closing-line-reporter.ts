import path from 'node:path'

type TestResult = { status: string; ancestorTitles: string[]; title: string }
type Results = {
  numPassedTests: number
  numFailedTests: number
  numPendingTests: number
  numTodoTests: number
  numRuntimeErrorTestSuites: number
  testResults: { testFilePath: string; testResults: TestResult[] }[]
}

const untested = ['pending', 'skipped', 'todo', 'disabled']

/**
 * Ends the run with what was not tested and why, and then the one line by which a run is judged:
 * `N passed, N failed, N skipped`. A test file that could not even be loaded counts as one failed.
 */
// oxlint-disable-next-line import/no-default-export -- jest constructs the default export
export default class ClosingLineReporter {
  onRunComplete(_contexts: unknown, results: Results): void {
    const passed = results.numPassedTests
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites
    const skipped = results.numPendingTests + results.numTodoTests
    const lines = [
      ...missingServers(),
      ...skippedTests(results),
      `${passed} passed, ${failed} failed, ${skipped} skipped`,
    ]
    // Jest puts its own summary after all other reporters, whatever their order.
    process.once('exit', () => process.stdout.write(`\n${lines.join('\n')}\n`))
  }
}

function missingServers(): string[] {
  const clients = process.env.BERTH_TEST_MISSING?.split(' ').filter(Boolean) ?? []
  const s3 = process.env.BERTH_TEST_NO_S3
  const lines = [
    ...(s3 ? [`  S3: ${s3}`] : []),
    ...(clients.length > 0 ? [`  not installed: ${clients.join(', ')}`] : []),
  ]
  return lines.length > 0 ? ['Not on this machine:', ...lines, ''] : []
}

// A test that is skipped says why in its title, or in that of the group around it when the whole group is skipped.
function skippedTests(results: Results): string[] {
  const counts = new Map<string, number>()
  for (const { testFilePath, testResults } of results.testResults) {
    const isRun = (group: string | undefined) =>
      testResults.some(({ status, ancestorTitles }) => !untested.includes(status) && ancestorTitles[0] === group)
    for (const { status, ancestorTitles, title } of testResults) {
      if (!untested.includes(status)) continue
      const said = isRun(ancestorTitles[0]) ? title : (ancestorTitles[0] ?? title)
      const key = `${path.relative(process.cwd(), testFilePath)}: ${said}`
      counts.set(key, (counts.get(key) ?? 0) + 1)
    }
  }
  const lines = [...counts].map(([key, count]) => `  ${count} in ${key}`)
  return lines.length > 0 ? ['Skipped tests:', ...lines, ''] : []
}
