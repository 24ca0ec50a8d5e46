import { setTimeout as delay } from 'node:timers/promises'
import type { LimitNotice } from '../egress/limit-notice.ts'
import { unlessAborted } from '../egress/unless-aborted.ts'
import { UpstreamError } from '../egress/upstream-error.ts'

/** That all requests to a host wait, and until when. */
export type Pause = { host: string; until: Date; reason: string }

/** The client that asks, and how it wants to be treated. */
export type Caller = {
  /** A hash of the credentials: what one account used up is not missing to another. */
  account: string
  /** The host that `ratePerSecond` is for. */
  host: string
  ratePerSecond: number | undefined
  /** What it waits at most for a host to be ready again. */
  longestPauseMs: number
  onPause: ((pause: Pause) => void) | undefined
}

/** What keeps all clients of a process together from asking a host more than it wants. */
export type HostGates = {
  /**
   * Waits until a request may go to the host; answers what to call when it has ended. Throws `UpstreamError` rate_limited when that
   * would be longer than the caller waits: of those one request in a while goes all the same, to see whether it still holds.
   */
  enter(host: string, caller: Caller, signal: AbortSignal | undefined): Promise<(outcome: Outcome) => void>
}

/** How a request ended: whether the host answered at all, and what it said of its limits. */
type Outcome = { answered: boolean; notice: LimitNotice | undefined }

type Paused = { endsAt: number; reason: string; probe: Promise<void> | undefined; probedAt: number }

const probeEveryMs = 60_000
// Redirects can name hosts without end; of so many, the one that was heard of first is forgotten.
const mostHosts = 10_000
// They waited together; they need not go on in the same millisecond.
const spreadMs = 250

/** Makes gates that know of no limit yet. */
export function createHostGates(): HostGates {
  const pauses = new Map<string, Paused>()
  const nextAt = new Map<string, number>()

  const pauseOf = (key: string) => {
    const paused = pauses.get(key)
    if (!paused || paused.endsAt > performance.now()) return paused
    pauses.delete(key)
    return undefined
  }
  /** Waits for the end of a pause; answers the end of a probe where this is one. */
  const passPause = async (key: string, host: string, caller: Caller, signal: AbortSignal | undefined) => {
    for (let paused = pauseOf(key); paused; paused = pauseOf(key)) {
      const leftMs = paused.endsAt - performance.now()
      if (leftMs <= caller.longestPauseMs) {
        caller.onPause?.(shown(host, paused))
        await delay(leftMs + Math.random() * spreadMs, undefined, { signal })
      } else if (paused.probe) await unlessAborted(paused.probe, signal)
      else if (performance.now() - paused.probedAt < probeEveryMs) throw tooLong(host, paused)
      else return beginProbe(paused)
    }
    return undefined
  }
  /** Waits until the next request fits the rate; true when it had to. */
  const passRate = async (host: string, { ratePerSecond, ...caller }: Caller, signal: AbortSignal | undefined) => {
    if (ratePerSecond === undefined || host !== caller.host) return false
    const now = performance.now()
    const at = Math.max(now, nextAt.get(host) ?? 0)
    remember(nextAt, host, at + 1000 / ratePerSecond)
    if (at > now) await delay(at - now, undefined, { signal })
    return at > now
  }
  const heed = (key: string, { waitSeconds, reason }: LimitNotice, isProbe: boolean) => {
    if (waitSeconds <= 0) return undefined
    const before = pauseOf(key)
    const endsAt = performance.now() + waitSeconds * 1000
    // Of the pauses that requests under way hear of, the longest counts; a request that is sent to see whether it still holds hears what
    // is true now.
    if (before && before.endsAt >= endsAt && !isProbe) return undefined
    const paused = { probedAt: before?.probedAt ?? Number.NEGATIVE_INFINITY, probe: undefined, endsAt, reason }
    remember(pauses, key, paused)
    return paused
  }

  const leave = (key: string, host: string, caller: Caller, endProbe: (() => void) | undefined, outcome: Outcome) => {
    const { answered, notice } = outcome
    const paused = notice && heed(key, notice, endProbe !== undefined)
    if (paused && paused.endsAt - performance.now() <= caller.longestPauseMs) caller.onPause?.(shown(host, paused))
    if (endProbe && answered && !notice) pauses.delete(key)
    endProbe?.()
  }

  return {
    enter: async (host, caller, signal) => {
      const key = `${host} ${caller.account}`
      for (;;) {
        const endProbe = await passPause(key, host, caller, signal)
        if (!endProbe && (await passRate(host, caller, signal)) && pauseOf(key)) continue
        return (outcome) => leave(key, host, caller, endProbe, outcome)
      }
    },
  }
}

function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key)
  map.set(key, value)
  const [oldest] = map.keys()
  if (map.size > mostHosts && oldest !== undefined) map.delete(oldest)
}

/** The gates of all clients of this process. */
export const sharedGates = createHostGates()

function beginProbe(paused: Paused): () => void {
  let end = () => {}
  paused.probedAt = performance.now()
  paused.probe = new Promise((resolve) => {
    end = () => {
      paused.probe = undefined
      resolve()
    }
  })
  return () => end()
}

function shown(host: string, { endsAt, reason }: Paused): Pause {
  return { host, until: new Date(performance.timeOrigin + endsAt), reason }
}

function tooLong(host: string, paused: Paused): UpstreamError {
  const { until, reason } = shown(host, paused)
  const retryAfterSeconds = Math.ceil((paused.endsAt - performance.now()) / 1000)
  return new UpstreamError('rate_limited', `${host} wants no request before ${until.toISOString()}: ${reason}`, {
    host,
    retryAfterSeconds,
  })
}
