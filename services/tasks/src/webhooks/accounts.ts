import type { AuthCommands, CommandClient } from '@berth/commands'
import type { Principal } from '@berth/service'
import { LRUCache } from 'lru-cache'

/** Who an account is now, with all that it may do; null where it is gone or may do nothing any more. */
export type Accounts = (accountId: string) => Promise<Principal | null>

const remembered = 1_000
// A right that is taken away ends within so long.
const goodForMs = 5_000
const timeoutMs = 5_000

/** Asks auth, but not for every event. */
export function createAccounts(auth: CommandClient<AuthCommands>): Accounts {
  const known = new LRUCache<string, { principal: Principal | null }>({ max: remembered, ttl: goodForMs })
  return async (accountId) => {
    const found = known.get(accountId)
    if (found) return found.principal
    const answer = await auth.call('principal-of', { accountId }, { timeoutMs })
    known.set(accountId, answer)
    return answer.principal
  }
}
