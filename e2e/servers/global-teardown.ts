import { stopTestServers } from './running.ts'

/** Runs once after all test files, also when some failed. Silent, so that the closing line stays the last one. */
// oxlint-disable-next-line import/no-default-export -- jest calls the default export
export default async function globalTeardown(): Promise<void> {
  await stopTestServers()
}
