import { type MisbehavingUpstream, startMisbehavingUpstream } from '@berth/registry-client/misbehaving-upstream'
import { afterAll, beforeAll } from '@jest/globals'
import { startTestStack, type TestStack } from './stack.ts'

/** Starts a Berth, and an upstream that does what tests ask of it, around the tests of a file; hands them over before the first. */
export function startAround(
  use: (stack: TestStack, upstream: MisbehavingUpstream) => void,
  options: { referrersApi?: boolean } = {},
): void {
  let stack: TestStack | undefined
  let upstream: MisbehavingUpstream | undefined
  beforeAll(async () => {
    upstream = await startMisbehavingUpstream(options)
    stack = await startTestStack()
    use(stack, upstream)
  }, 90_000)
  afterAll(async () => {
    await stack?.stop()
    await upstream?.close()
  }, 60_000)
}
