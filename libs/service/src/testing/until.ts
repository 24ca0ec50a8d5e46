import { setTimeout as delay } from 'node:timers/promises'

const patienceMs = 10_000
const pauseMs = 30

/** Waits for something that is seen only by looking; throws when it has not come after ten seconds. */
export async function until(check: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + patienceMs
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`it did not happen within ${patienceMs / 1000} s`)
    await delay(pauseMs)
  }
}
