import { createHmac, randomBytes } from 'node:crypto'
import type { Database } from '@berth/service'
import { LRUCache } from 'lru-cache'
import { type Account, accountById, accountByName } from '../accounts/account.ts'
import type { Passwords } from '../passwords/passwords.ts'
import { createKnownLogins } from './known-logins.ts'
import type { Throttle } from './throttle.ts'

export type CheckPassword = (name: string, password: string, ip: string) => Promise<Account | undefined>

const rememberedMs = 60_000
const rememberedLogins = 5_000
const longestPassword = 1_024

/**
 * Checks the name and the password of a user. What was right is remembered for a minute, as an HMAC under a key that only this process
 * has, so that clients which send Basic with every request do not cost a slow hash each time; the account is read all the
 * same, and a changed password or a deleted account ends it at once. What was right within a day passes without a count. Throws
 * 429 after too many failures, 503 when too many log in at once.
 */
export function createCheckPassword(
  db: Database,
  passwords: Passwords,
  { throttle, secret }: { throttle: Throttle; secret: Buffer },
): CheckPassword {
  const knownLogins = createKnownLogins(db, secret)
  const key = randomBytes(32)
  const remembered = new LRUCache<string, { id: string; epoch: number }>({ max: rememberedLogins, ttl: rememberedMs })
  const underWay = new Map<string, Promise<Account | undefined>>()

  const check = async (mark: string, name: string, password: string, ip: string): Promise<Account | undefined> => {
    const known = await knownLogins.find(name, password)
    if (known) {
      remembered.set(mark, { id: known.id, epoch: known.sessionEpoch })
      return known
    }
    const attempt = await throttle.begin(name, ip)
    const found = await accountByName(db, name)
    if (!(await passwords.matches(password, found?.passwordHash ?? undefined)) || !found) return undefined
    await attempt.succeeded()
    const { passwordHash, ...account } = found
    if (passwordHash !== null && passwords.isOutdated(passwordHash)) {
      // Only now the password is known. One that was changed meanwhile stays.
      await db.query('update account set password_hash = $3 where id = $1 and password_hash = $2', [
        account.id,
        passwordHash,
        await passwords.hash(password),
      ])
    }
    remembered.set(mark, { id: account.id, epoch: account.sessionEpoch })
    await knownLogins.remember(account, password)
    return account
  }

  return async (name, password, ip) => {
    if (password.length > longestPassword || name.length > longestPassword || name.includes('\0')) return undefined
    const mark = createHmac('sha256', key).update(`${name}\0${password}`).digest('base64')
    const known = remembered.get(mark)
    if (known) {
      const account = await accountById(db, known.id)
      if (account?.sessionEpoch === known.epoch && account.name === name) return account
      remembered.delete(mark)
    }
    // Twenty jobs of one account that log in at once are one attempt, not twenty that bring each other to the limit.
    const same = `${mark} ${ip}`
    const running = underWay.get(same) ?? check(mark, name, password, ip).finally(() => underWay.delete(same))
    underWay.set(same, running)
    return running
  }
}
