import { unlessAborted } from '../egress/unless-aborted.ts'
import type { ParsedChallenge } from './challenge.ts'

/** A token, the challenge that it answers, and when (`performance.now()`) it should be renewed and will be worth nothing. */
export type KeptToken = { header: string; challenge: ParsedChallenge; renewAt: number; endsAt: number }

/** Tokens that many clients use. Keys are hashes: no credential can be read out of them. */
export type TokenCache = {
  find(key: string): KeptToken | undefined
  /** Forgets a token that was refused; one that took its place meanwhile stays. */
  drop(key: string, header: string): void
  /**
   * Gets a token by `fetch`, once for all requests that ask for the same key at a time. When the one that is asking gives up, by
   * `signal` or because `isGone`, another one of those that wait asks.
   */
  obtain(key: string, asker: Asker, fetch: () => Promise<KeptToken>): Promise<string>
}
type Asker = { signal: AbortSignal | undefined; isGone: () => boolean }

class AskerGone extends Error {
  override name = 'AskerGone'
}

/**
 * Keeps at most so many tokens, and bytes of them, for an upstream may give tokens of any size; the one that was got longest
 * ago goes first.
 */
export function createTokenCache(mostTokens = 5_000, mostBytes = 32 << 20): TokenCache {
  const kept = new Map<string, KeptToken>()
  let bytes = 0
  const underWay = new Map<string, Promise<string>>()

  const forget = (key: string) => {
    bytes -= kept.get(key)?.header.length ?? 0
    kept.delete(key)
  }
  const keep = (key: string, token: KeptToken) => {
    forget(key)
    kept.set(key, token)
    bytes += token.header.length
    for (const oldest of kept.keys()) {
      if (kept.size <= mostTokens && bytes <= mostBytes) break
      forget(oldest)
    }
    return token.header
  }
  const ask = (key: string, { signal, isGone }: Asker, fetch: () => Promise<KeptToken>) => {
    const asking = fetch()
      .then(
        (token) => keep(key, token),
        (cause: unknown) => {
          throw signal?.aborted || isGone()
            ? new AskerGone('the request that asked for a token has given up', { cause })
            : cause
        },
      )
      .finally(() => underWay.delete(key))
    underWay.set(key, asking)
    return asking
  }

  return {
    find: (key) => kept.get(key),
    drop: (key, header) => {
      if (kept.get(key)?.header === header) forget(key)
    },
    obtain: async (key, asker, fetch) => {
      for (;;) {
        asker.signal?.throwIfAborted()
        const running = underWay.get(key)
        try {
          return await (running ? unlessAborted(running, asker.signal) : ask(key, asker, fetch))
        } catch (error) {
          asker.signal?.throwIfAborted()
          if (!(error instanceof AskerGone)) throw error
          if (!running) throw error.cause
        }
      }
    },
  }
}

/** The tokens of all clients of this process. */
export const sharedTokens = createTokenCache()
