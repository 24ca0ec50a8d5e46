import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { BlobStore } from '@berth/blobs'
import { type Loop, startLoop } from '@berth/bus'
import type { Database, Logger } from '@berth/service'
import { type ScrubResult, scrub } from './scrub.ts'
import { type Checked, endRound, keepRound, type Round, takeRound } from './scrub-rounds.ts'

export type ScrubDeps = { db: Database; blobs: BlobStore; log: Logger }
export type ScrubSettings = { scrubIntervalSeconds: number; scrubBytesPerSecond: number }

const longestPollMs = 60_000
const leaseSeconds = 60
const keepEveryMs = 15_000
// At 4 MiB a second 64 objects, however small.
const leastBytes = 64 << 10
const missingAgainAfterMs = 3_600_000

/**
 * Looks at all stored bytes by itself, a round every interval; 0 turns it off. A round that was left in the middle is gone on
 * with, after a restart too, and of several replicas one carries it out. A round may take weeks: what is missing is looked for
 * beside it.
 */
export function startScrub(deps: ScrubDeps, settings: ScrubSettings): Pick<Loop, 'stop'> {
  const { scrubIntervalSeconds: intervalSeconds, scrubBytesPerSecond: bytesPerSecond } = settings
  if (intervalSeconds === 0) return { stop: async () => undefined }
  const holder = randomUUID()
  const pollMs = Math.min(intervalSeconds * 1_000, longestPollMs)
  const onError = (error: unknown) => deps.log.warn('the scrub will go on later', { error })
  const often = { pollMs, pauseAfterFailureMs: pollMs, onError }
  const looking = startLoop({ ...often, run: (signal) => lookForMissing(deps, signal) })
  const rounds = startLoop({
    ...often,
    run: async (signal) => {
      const round = await takeRound(deps.db, { holder, intervalSeconds, leaseSeconds })
      if (round) await carryOut(deps, round, { holder, bytesPerSecond, signal })
    },
  })
  return { stop: async () => void (await Promise.all([looking.stop(), rounds.stop()])) }
}

/** What was missing because the store was away for a while is not to be missing until the next round. */
async function lookForMissing({ db, blobs, log }: ScrubDeps, signal: AbortSignal): Promise<void> {
  const since = new Date(Date.now() - missingAgainAfterMs)
  const { found } = await scrub({ db, blobs, log, since, signal, isMissingOnly: true })
  if (found > 0) log.info('stored bytes are there again', { found })
}

async function carryOut(
  { db, blobs, log }: ScrubDeps,
  { id, startedAt }: Round,
  { holder, bytesPerSecond, signal }: { holder: string; bytesPerSecond: number; signal: AbortSignal },
): Promise<void> {
  const lost = new AbortController()
  const over = new AbortController()
  const counting = createCounts()
  const keep = async (seconds: number) => {
    if (!(await keepRound(db, { id, holder, leaseSeconds: seconds }, counting.taken()))) lost.abort(lostRound)
  }
  const keeping = keepUntil(over.signal, () => keep(leaseSeconds)).catch((error: unknown) => lost.abort(error))
  try {
    const working = AbortSignal.any([signal, lost.signal])
    const pace = { bytesPerSecond, leastBytes }
    const scrubbing = { db, blobs, log, since: startedAt, ...pace, signal: working, onProgress: counting.saw }
    const { damaged, ...result } = await scrub(scrubbing)
    await keep(leaseSeconds)
    await endRound(db, id, holder)
    log.info('all stored bytes were looked at', { ...result, damaged: damaged.length })
  } catch (error) {
    // Stopped in the middle: the next replica need not wait for our lease.
    if (signal.aborted) await keep(-1)
    throw error
  } finally {
    over.abort()
    await keeping
  }
}

const lostRound = new Error('another replica goes on with the round')

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
