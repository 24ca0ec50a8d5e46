/**
 * What is known of the outside about a Berth that is being killed: what it acknowledged, what it may have done without saying
 * so, and what it did that it must not.
 */
export type History = {
  readonly counts: Record<string, number>
  readonly violations: string[]
  count(what: string): void
  violate(what: string): void
  /** Notes that something is away from now on, until the function that it answers is called. */
  outage(): () => void
  /** Whether something was away at any time since a moment, or shortly before it. */
  wasDisturbedSince(startedAt: number): boolean
}

// Connections to PostgreSQL are made anew, and what waited for it goes on.
const aftermathMs = 3_000
const mostViolations = 50

export function createHistory(): History {
  const counts: Record<string, number> = {}
  const violations: string[] = []
  let away = 0
  let lastEnd = Number.NEGATIVE_INFINITY
  return {
    counts,
    violations,
    count: (what) => {
      counts[what] = (counts[what] ?? 0) + 1
    },
    violate: (what) => {
      if (violations.length < mostViolations) violations.push(`${new Date().toISOString()} ${what}`)
    },
    outage: () => {
      away++
      return () => {
        away--
        lastEnd = Date.now()
      }
    },
    wasDisturbedSince: (startedAt) => away > 0 || startedAt < lastEnd + aftermathMs,
  }
}

/** What a tag may stand for: what was acknowledged last, and what was sent since without an answer. */
export type Expected = { acknowledged: string | undefined; possible: Set<string> }

export function newExpected(): Expected {
  return { acknowledged: undefined, possible: new Set() }
}

/** Whether a digest, or the absence of one, is what may be there. */
export function mayBe({ acknowledged, possible }: Expected, digest: string | undefined): boolean {
  return digest === acknowledged || (digest !== undefined && possible.has(digest))
}
