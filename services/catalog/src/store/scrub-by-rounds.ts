import { setTimeout as delay } from 'node:timers/promises'
import type { BlobStore } from '@berth/blobs'
import { type Loop, startLoop } from '@berth/bus'
import type { Database, Logger } from '@berth/service'
import { TaskLost } from '@berth/worker'
import { type ScrubResult, scrub } from './scrub.ts'
import { type Checked, endRound, keepRound, type Round, takeRound } from './scrub-rounds.ts'

type ScrubDeps = { db: Database; blobs: BlobStore; log: Logger }
type RoundOptions = {
  /** A holder of its own for each attempt: of a worker that was lost the round is taken only once its lease is over. */
  holder: string
  bytesPerSecond: number
  signal: AbortSignal
  onProgress?: (round: Checked) => void
}

const lookEveryMs = 60_000
const leaseSeconds = 60
const keepEveryMs = 15_000
const takeEveryMs = 2_000
// At 4 MiB a second 64 objects, however small.
const leastBytes = 64 << 10
const missingAgainAfterMs = 3_600_000

/**
 * Looks for what was missing at the last look, an hour ago or more: what was missing because the store was away for a while is not to be
 * missing until the next round, which may take weeks.
 */
export function startLooking({ db, blobs, log }: ScrubDeps, everyMs = lookEveryMs): Pick<Loop, 'stop'> {
  return startLoop({
    pollMs: everyMs,
    pauseAfterFailureMs: everyMs,
    onError: (error) => log.warn('what is missing is looked for later', { error }),
    run: async (signal) => {
      const since = new Date(Date.now() - missingAgainAfterMs)
      const { found } = await scrub({ db, blobs, log, since, signal, isMissingOnly: true })
      if (found > 0) log.info('stored bytes are there again', { found })
    },
  })
}

/**
 * Looks at all stored bytes, gently: a round, which may take weeks. One that was left in the middle is gone on with. Of several at once
 * one carries it out, and the others wait for it.
 */
export async function scrubRound(deps: ScrubDeps, options: RoundOptions): Promise<ScrubResult> {
  for (;;) {
    options.signal.throwIfAborted()
    const round = await takeRound(deps.db, { holder: options.holder, leaseSeconds })
    if (round) return carryOut(deps, round, options)
    await delay(takeEveryMs, undefined, { signal: options.signal })
  }
}

async function carryOut(
  { db, blobs, log }: ScrubDeps,
  { id, startedAt, ...before }: Round,
  { holder, bytesPerSecond, signal, onProgress }: RoundOptions,
): Promise<ScrubResult> {
  const lost = new AbortController()
  const over = new AbortController()
  const counting = createCounts()
  const keep = async (seconds: number) => {
    if (!(await keepRound(db, { id, holder, leaseSeconds: seconds }, counting.taken()))) lost.abort(lostRound)
  }
  const keeping = keepUntil(over.signal, () => keep(leaseSeconds)).catch((error: unknown) => lost.abort(error))
  const saw = (result: ScrubResult) => {
    counting.saw(result)
    onProgress?.({
      checked: before.checked + result.checked,
      checkedBytes: before.checkedBytes + result.checkedBytes,
      damaged: before.damaged + result.missing + result.rotten,
    })
  }
  try {
    const working = AbortSignal.any([signal, lost.signal])
    const pace = { bytesPerSecond, leastBytes }
    const scrubbing = { db, blobs, log, since: startedAt, ...pace, signal: working, onProgress: saw }
    const result = await scrub(scrubbing)
    await keep(leaseSeconds)
    await endRound(db, id, holder)
    const { damaged, ...counts } = result
    log.info('all stored bytes were looked at', { ...counts, damaged: damaged.length })
    return result
  } catch (error) {
    // Stopped in the middle: whoever goes on need not wait for our lease.
    if (!lost.signal.aborted) await keep(-1).catch(() => 'it runs out')
    throw error
  } finally {
    over.abort()
    await keeping
  }
}

const lostRound = new TaskLost('another worker goes on with the round')

async function keepUntil(signal: AbortSignal, keep: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await delay(keepEveryMs, undefined, { signal }).catch((error: unknown) => {
      if (!signal.aborted) throw error
    })
    if (!signal.aborted) await keep()
  }
}

/** What was counted since it was last taken. */
function createCounts(): { saw: (result: ScrubResult) => void; taken: () => Checked } {
  let seen: Checked = { checked: 0, checkedBytes: 0, damaged: 0 }
  let noted = seen
  return {
    saw: ({ checked, checkedBytes, missing, rotten }) => {
      seen = { checked, checkedBytes, damaged: missing + rotten }
    },
    taken: () => {
      const before = noted
      noted = seen
      return {
        checked: seen.checked - before.checked,
        checkedBytes: seen.checkedBytes - before.checkedBytes,
        damaged: seen.damaged - before.damaged,
      }
    },
  }
}
