import { setTimeout as delay } from 'node:timers/promises'
import { UpstreamError } from './upstream-error.ts'

const firstPauseMs = 250
const longestPauseMs = 15_000
const longestRetryAfterSeconds = 120

/** Whether trying again can help. */
export function isTransient(error: unknown): error is UpstreamError {
  if (!(error instanceof UpstreamError)) return false
  return ['rate_limited', 'unavailable', 'timeout', 'short_body'].includes(error.code) || error.status === 408
}

/**
 * Tries `work` again after failures that pass, with pauses that double and jitter; an upstream that names its own pause
 * (Retry-After) gets it, up to two minutes.
 */
export async function retrying<T>(
  retries: number,
  signal: AbortSignal | undefined,
  work: (attempt: number) => Promise<T>,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work(attempt)
    } catch (error) {
      signal?.throwIfAborted()
      if (!isTransient(error) || attempt >= retries) throw error
      if ((error.retryAfterSeconds ?? 0) > longestRetryAfterSeconds) throw error
      await delay(pauseMs(attempt, error.retryAfterSeconds), undefined, { signal })
    }
  }
}

function pauseMs(attempt: number, retryAfterSeconds: number | undefined): number {
  const backOff = Math.min(firstPauseMs * 2 ** attempt, longestPauseMs)
  return Math.max((retryAfterSeconds ?? 0) * 1000, backOff / 2 + Math.random() * (backOff / 2))
}

/** Reads Retry-After: seconds, or a date (RFC 9110 §10.2.3). */
export function retryAfterSeconds(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  if (/^\d{1,9}$/.test(header)) return Number(header)
  const date = Date.parse(header)
  return Number.isNaN(date) ? undefined : Math.max(0, Math.ceil((date - Date.now()) / 1000))
}
