import { setTimeout as delay } from 'node:timers/promises'
import { UpstreamError } from '../egress/upstream-error.ts'

const firstPauseMs = 250
const longestBackOffMs = 15_000
/** A pause that the upstream names and that is as long as this is no failed try: it will be ready then. */
const noTryFromSeconds = 30

/** Whether trying again can help. */
export function isTransient(error: unknown): error is UpstreamError {
  if (!(error instanceof UpstreamError)) return false
  return ['rate_limited', 'unavailable', 'timeout', 'short_body'].includes(error.code) || error.status === 408
}

/**
 * How often to try again, and how long to wait at most for an upstream that names its own pause. `onRetry` hears why something is tried
 * again.
 */
export type Patience = {
  retries: number
  longestPauseMs: number
  signal: AbortSignal | undefined
  onRetry?: ((error: UpstreamError) => void) | undefined
}

/**
 * Tries `work` again after failures that pass, with pauses that double and jitter; an upstream that names its own pause
 * (Retry-After, the reset of its limit) gets it, as long as all of them together are within the patience.
 */
export async function retrying<T>(
  { retries, longestPauseMs, signal, onRetry }: Patience,
  work: (attempt: number) => Promise<T>,
): Promise<T> {
  let leftMs = longestPauseMs
  for (let attempt = 0; ; ) {
    try {
      return await work(attempt)
    } catch (error) {
      signal?.throwIfAborted()
      if (!isTransient(error) || attempt >= retries) throw error
      const namedSeconds = error.retryAfterSeconds ?? 0
      leftMs -= namedSeconds * 1000
      if (leftMs < 0) throw error
      onRetry?.(error)
      await delay(pauseMs(attempt, namedSeconds), undefined, { signal })
      if (namedSeconds < noTryFromSeconds) attempt++
    }
  }
}

function pauseMs(attempt: number, namedSeconds: number): number {
  const backOff = Math.min(firstPauseMs * 2 ** attempt, longestBackOffMs)
  return Math.max(namedSeconds * 1000, backOff / 2 + Math.random() * (backOff / 2))
}
