import type { MisbehavingUpstream } from './upstream.ts'

type LimitStyle = 'docker' | 'reset' | 'draft' | 'seconds' | 'date'
type Standing = { left: number; limit: number; windowSeconds: number; resetSeconds: number }

/** How an upstream tells of its limits: with the fields of Docker Hub, of the IETF drafts, or with Retry-After. */
const styles: Record<LimitStyle, (standing: Standing) => Record<string, string>> = {
  docker: ({ left, limit, windowSeconds }) => ({
    'ratelimit-limit': `${limit};w=${windowSeconds}`,
    'ratelimit-remaining': `${left};w=${windowSeconds}`,
  }),
  reset: ({ left, limit, resetSeconds }) => ({
    'ratelimit-limit': String(limit),
    'ratelimit-remaining': String(left),
    'ratelimit-reset': String(resetSeconds),
  }),
  draft: ({ left, resetSeconds }) => ({ ratelimit: `"default";r=${left};t=${resetSeconds}` }),
  seconds: ({ resetSeconds }) => ({ 'retry-after': String(resetSeconds) }),
  date: ({ resetSeconds }) => ({ 'retry-after': new Date(Date.now() + resetSeconds * 1000).toUTCString() }),
}

export type LimitOptions = { fits: RegExp; limit: number; windowSeconds: number; style: LimitStyle }
/** What it did so far. */
export type Limits = { granted: number; refused: number }

/** Lets an upstream grant so many requests in a window, which begins with the first of them; it refuses more by 429. */
export function limitRequests(upstream: MisbehavingUpstream, options: LimitOptions): Limits {
  const { fits, limit, windowSeconds, style } = options
  const limits = { granted: 0, refused: 0 }
  let used = 0
  let resetsAt = 0
  upstream.when(fits, ({ response, behave }) => {
    const now = performance.now()
    if (now >= resetsAt) {
      used = 0
      resetsAt = now + windowSeconds * 1000
    }
    const isGranted = used < limit
    if (isGranted) used++
    limits[isGranted ? 'granted' : 'refused']++
    const resetSeconds = Math.ceil((resetsAt - now) / 1000)
    const headers = styles[style]({ left: limit - used, limit, windowSeconds, resetSeconds })
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
    if (isGranted) behave()
    else response.writeHead(429).end('{"errors":[{"code":"TOOMANYREQUESTS"}]}')
  })
  return limits
}
