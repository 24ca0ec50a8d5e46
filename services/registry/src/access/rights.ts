import { noRights, type Rights } from '@berth/access'
import type { AuthCommands, CommandClient } from '@berth/commands'
import { Problem } from '@berth/service'
import { LRUCache } from 'lru-cache'
import type { Caller } from './authorize.ts'

// Long enough for the layers of a push, and short enough for what is taken away.
const rememberedMs = 5_000
const rememberedAccounts = 10_000

/** What may be seen beside what is public: by rights, and the base paths that a token names. `isSure`: auth has been asked. */
export type Sight = { rights: Rights; names: readonly string[]; isSure: boolean }

/** What a caller may see, as auth knows it; asked for at most so long. */
export type SeeAs = (caller: Caller, withinMs: number) => Promise<Sight>

/**
 * Makes the question what a caller may see. A token says what was asked for and granted, and clients list and mount without having
 * asked: so auth is asked by the account that the token names. Where it does not answer, what the token says is all that is known.
 */
export function createSeeAs(auth: CommandClient<AuthCommands>): SeeAs {
  const known = new LRUCache<string, Rights>({ max: rememberedAccounts, ttl: rememberedMs })
  const ask = async (accountId: string, epoch: number, timeoutMs: number): Promise<Rights> => {
    const key = `${accountId} ${epoch}`
    const remembered = known.get(key)
    if (remembered) return remembered
    const { rights, isActive } = await auth.call('grants-of', { accountId, epoch }, { timeoutMs })
    const now = isActive ? rights : noRights(null)
    known.set(key, now)
    return now
  }
  return async ({ rights, account, named }, withinMs) => {
    const seen = (found: Rights, isSure = true): Sight => ({ rights: found, names: named, isSure })
    if (rights) return seen(rights)
    if (!account) return seen(noRights(null))
    try {
      return seen(await ask(account.id, account.epoch, withinMs))
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 503) throw error
      return seen(noRights(null), false)
    }
  }
}
