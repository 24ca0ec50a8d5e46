import { setTimeout as pause } from 'node:timers/promises'
import { exitCodeOf, passSignals, startChild } from './foreground.mjs'
import { say } from './say.mjs'

const firstDelayMs = 100
const longestDelayMs = 10_000
// A program that ran this long had started well: its next end is a new fault.
const settledMs = 60_000
// Berth stops within 10 s of being asked; what is left after this is cut.
const stopWithinMs = 9_500

/**
 * Runs Berth until it is asked to stop, and starts it again when it ends without that: one process carries six services, and
 * a fault in one of them must not be the end of all. A first start that fails is not repeated: its message says what to mend.
 * Answers the exit code of the last run.
 */
export async function keepUp(node, args, { env }) {
  const asked = new AbortController()
  let child
  passSignals((signal) => {
    asked.abort()
    child.kill(signal)
    setTimeout(() => child.kill('SIGKILL'), stopWithinMs).unref()
  }, true)
  let hasBeenReady = false
  for (let failures = 0; ; failures++) {
    const startedAt = Date.now()
    child = startChild(node, args, { env, ownGroup: true })
    // It says so over the pipe when it serves.
    child.stdio[3].once('data', () => {
      hasBeenReady = true
    })
    const code = await exitCodeOf(child)
    if (asked.signal.aborted || code === 0 || !hasBeenReady) return code
    if (Date.now() - startedAt > settledMs) failures = 0
    const delayMs = Math.min(firstDelayMs * 2 ** Math.min(failures, 10), longestDelayMs)
    say(`Berth ended unexpectedly (${howEnded(child)}); it is started again in ${delayMs / 1000} s`)
    await pause(delayMs, undefined, { signal: asked.signal }).catch(() => 'asked to stop')
    if (asked.signal.aborted) return 0
  }
}

function howEnded({ exitCode, signalCode }) {
  return signalCode === null ? `exit code ${exitCode}` : signalCode
}
