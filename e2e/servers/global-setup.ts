import { constants } from 'node:os'
import { startTestServers, stopTestServers } from './running.ts'

/** Runs once before all test files. */
// oxlint-disable-next-line import/no-default-export -- jest calls the default export
export default async function globalSetup(): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void stopAndExit(signal).catch(fail))
  await startTestServers()
}

function fail(error: unknown): never {
  process.stderr.write(`the test servers did not stop: ${String(error)}\n`)
  process.exit(1)
}

// Jest runs no teardown when a signal ends it.
async function stopAndExit(signal: 'SIGINT' | 'SIGTERM'): Promise<void> {
  await stopTestServers()
  process.exit(128 + constants.signals[signal])
}
