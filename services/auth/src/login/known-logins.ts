import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Sql } from '@berth/service'
import type { Account } from '../accounts/account.ts'

const knownHours = 24

export type KnownLogins = {
  /** The account, when this password was right for it within the last 24 hours and it has not changed since. */
  find(name: string, password: string): Promise<Account | undefined>
  /** Remembers that a password was right. */
  remember(account: Account, password: string): Promise<void>
}

type Row = Account & { mark: Buffer }

/**
 * Logins that were right a while ago, for all replicas. They pass whatever is counted against an address or an account, so
 * an attacker cannot keep an owner out by guessing wrong. What is stored is an HMAC under a key made from auth's own key: without that
 * key it tells nothing of the password. It names the account's session epoch, so a changed password ends it; a deleted account
 * takes it along.
 */
export function createKnownLogins(db: Sql, secret: Buffer): KnownLogins {
  const key = createHmac('sha256', secret).update('berth known logins').digest()
  const markOf = ({ id, sessionEpoch }: Account, password: string) =>
    createHmac('sha256', key).update(`${id}\0${sessionEpoch}\0${password}`).digest()
  return {
    find: async (name, password) => {
      const [row] = await db.prepared<Row>(
        'known-login',
        `select account.id, account.name, 'user' as kind, is_admin as "isAdmin", session_epoch as "sessionEpoch", known_login.mark
         from account
         join known_login on known_login.account = account.id
         where account.name = $1 and is_active and known_login.at > now() - make_interval(hours => $2)`,
        [name, knownHours],
      )
      if (!row) return undefined
      const { mark, ...account } = row
      if (!timingSafeEqual(mark, markOf(account, password))) return undefined
      await touch(db, account.id)
      return account
    },
    remember: async (account, password) => {
      await db.query(
        `insert into known_login (account, mark)
         select id, $2
         from account
         where id = $1
           and session_epoch = $3
         on conflict (account) do update set mark = excluded.mark, at = now()`,
        [account.id, markOf(account, password), account.sessionEpoch],
      )
    },
  }
}

/** Moves its end on, once an hour: it is read at each login, and need not be written as often. */
async function touch(db: Sql, accountId: string): Promise<void> {
  await db.prepared(
    'touch-known-login',
    `update known_login
     set at = now()
     where account = $1 and at < now() - interval '1 hour'`,
    [accountId],
  )
}
