/** That an upstream wants no request for so long, and why. */
export type LimitNotice = { waitSeconds: number; reason: string }
type Headers = Record<string, string>

/** Without a time for the reset: how long to wait before asking again, however long the window is. */
const longestGuessSeconds = 900
/**
 * No upstream is left alone for longer than 30 days, whatever it says: what is far beyond that is no moment that a Date can
 * hold.
 */
const longestWaitSeconds = 30 * 86_400
const nowSeconds = () => Date.now() / 1000

/**
 * Reads from an answer that its host wants to be left alone: because it refused (429, or 503 with Retry-After), or because what
 * it granted is used up. Knows Retry-After (RFC 9110 §10.2.3), the RateLimit fields of the IETF drafts, old and new, and what
 * Docker Hub sends (`ratelimit-remaining: 0;w=21600`).
 */
export function readLimitNotice(status: number, headers: Headers): LimitNotice | undefined {
  const isRefused = status === 429 || (status === 503 && headers['retry-after'] !== undefined)
  const { remaining, resetSeconds, windowSeconds } = readQuota(headers)
  if (!isRefused) {
    const isUsedUp = remaining === 0 && resetSeconds !== undefined && resetSeconds > 0
    return isUsedUp ? { waitSeconds: sane(resetSeconds), reason: 'what it grants is used up' } : undefined
  }
  const guessed = windowSeconds === undefined ? undefined : Math.min(windowSeconds, longestGuessSeconds)
  const waitSeconds =
    retryAfterSeconds(headers['retry-after']) ?? untilSeconds(headers['x-retry-after']) ?? resetSeconds ?? guessed
  return waitSeconds === undefined ? undefined : { waitSeconds: sane(waitSeconds), reason: `it answered ${status}` }
}

/** How many requests the host still grants, if it says so. */
export function readRemaining(headers: Headers): number | undefined {
  return readQuota(headers).remaining
}

type Quota = { remaining?: number; resetSeconds?: number; windowSeconds?: number }

function readQuota(headers: Headers): Quota {
  const remaining = headers['ratelimit-remaining'] ?? headers['x-ratelimit-remaining']
  const windowSeconds = numberAt(/;\s*w=(\d+)/, remaining) ?? numberAt(/;\s*w=(\d+)/, headers['ratelimit-policy'])
  const old = {
    remaining: numberAt(/^\s*(\d+)/, remaining),
    resetSeconds: untilSeconds(headers['ratelimit-reset'] ?? headers['x-ratelimit-reset']),
    windowSeconds,
  }
  const both = mostPressing(headers.ratelimit ?? '')
  return clean({ ...old, ...clean(both) })
}

/** `"default";r=0;t=30` of the present draft or `limit=100, remaining=0, reset=30` of older ones: of several the one used up. */
function mostPressing(field: string): Quota {
  const policies = /;\s*r=/.test(field) ? field.split(',') : [field]
  const read = policies.map((policy) => ({
    remaining: numberAt(/(?:;\s*r|remaining)=(\d+)/, policy),
    resetSeconds: numberAt(/(?:;\s*t|reset)=(\d+)/, policy),
  }))
  return clean(read.find(({ remaining }) => remaining === 0) ?? read[0] ?? {})
}

function clean(quota: { [K in keyof Quota]: Quota[K] | undefined }): Quota {
  return Object.fromEntries(Object.entries(quota).filter(([, value]) => value !== undefined))
}

function numberAt(pattern: RegExp, text: string | undefined): number | undefined {
  const found = pattern.exec(text ?? '')?.[1]
  return found === undefined ? undefined : Number(found)
}

// Some say in how many seconds, some at what second since 1970; no pause is 30 years long.
const firstMoment = 1_000_000_000

function untilSeconds(text: string | undefined): number | undefined {
  const number = numberAt(/^\s*(\d{1,12})(?:\.\d+)?(?:;|\s|$)/, text)
  if (number === undefined) return undefined
  return number < firstMoment ? number : Math.max(0, Math.ceil(number - nowSeconds()))
}

/** Reads Retry-After: seconds, or a date (RFC 9110 §10.2.3). */
export function retryAfterSeconds(header: string | undefined): number | undefined {
  if (header === undefined) return undefined
  if (/^\d{1,9}$/.test(header)) return sane(Number(header))
  const date = Date.parse(header)
  return Number.isNaN(date) ? undefined : sane(Math.max(0, Math.ceil(date / 1000 - nowSeconds())))
}

function sane(waitSeconds: number): number {
  return Math.min(waitSeconds, longestWaitSeconds)
}
