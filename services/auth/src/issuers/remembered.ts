import { LRUCache } from 'lru-cache'

const mostRemembered = 500
const staleMs = 24 * 3_600_000
/** So long it is given before it was fetched anew, which is done beside: nobody waits for an issuer that hangs. */
const meanwhileMs = 3_600_000
const failureMs = 5_000

type Entry<T> = { value?: T; fetchedAt: number; failedAt: number; failure?: unknown; running?: Promise<T> }

/** What was fetched, by a key. */
export type Remembered<T> = {
  /**
   * What was fetched within `freshMs`. What was fetched within an hour is given too, and fetched anew for the next who asks, unless `freshMs`
   * is 0; else what is fetched now is waited for. Where that fails, what was fetched within a day; without any, the failure, which is not
   * tried again for five seconds. Those who ask at once wait for one fetch.
   */
  get(key: string, freshMs: number, fetch: () => Promise<T>): Promise<T>
}

export function createRemembered<T>(now: () => number = Date.now): Remembered<T> {
  const entries = new LRUCache<string, Entry<T>>({ max: mostRemembered })
  const run = (entry: Entry<T>, fetch: () => Promise<T>) => {
    const running = fetch().then(
      (value) => {
        Object.assign(entry, { value, fetchedAt: now(), failure: undefined, running: undefined })
        return value
      },
      (failure: unknown) => {
        Object.assign(entry, { failure, failedAt: now(), running: undefined })
        if (entry.value !== undefined && now() - entry.fetchedAt < staleMs) return entry.value
        throw failure
      },
    )
    entry.running = running
    return running
  }
  return {
    get: async (key, freshMs, fetch) => {
      const entry: Entry<T> = entries.get(key) ?? { fetchedAt: 0, failedAt: -Infinity }
      entries.set(key, entry)
      if (entry.value !== undefined && now() - entry.fetchedAt < freshMs) return entry.value
      const mayBeginFetch = now() - entry.failedAt >= failureMs
      if (entry.value !== undefined && freshMs > 0 && now() - entry.fetchedAt < meanwhileMs) {
        // Whoever asks next hears how it ended.
        if (!entry.running && mayBeginFetch) run(entry, fetch).catch(() => undefined)
        return entry.value
      }
      if (entry.running) return entry.running
      if (mayBeginFetch) return run(entry, fetch)
      if (entry.value !== undefined && now() - entry.fetchedAt < staleMs) return entry.value
      throw entry.failure
    },
  }
}
