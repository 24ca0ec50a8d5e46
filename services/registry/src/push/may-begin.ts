import { LRUCache } from 'lru-cache'
import type { NamedExchange } from '../exchange/exchange.ts'

/** Ends when the name takes uploads; throws when it does not. */
export type MayBegin = (exchange: NamedExchange) => Promise<void>

const checkedMs = 5_000
const remembered = 10_000

/**
 * Makes the check whether an upload may begin. Beginning one writes nothing, and many are begun only to see whether they may
 * be: so what was seen a moment ago will do, and it is looked at again when bytes come.
 */
export function createBeginCheck(): MayBegin {
  const checked = new LRUCache<string, true>({ max: remembered, ttl: checkedMs })
  return async ({ basePath, served }) => {
    if (checked.has(basePath)) return
    await served()
    checked.set(basePath, true)
  }
}
