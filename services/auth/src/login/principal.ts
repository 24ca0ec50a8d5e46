import type { Principal, Sql } from '@berth/service'
import { administers, rightsOf } from '../access/rights.ts'
import type { Account } from '../accounts/account.ts'

/** Who has logged in, as every service knows it, with what it may do. Whoever has the role `admin` is an administrator. */
export async function principalOf(sql: Sql, account: Account): Promise<Principal> {
  const rights = await rightsOf(sql, account)
  const { id, name, kind } = account
  return { id, name, admin: administers(rights), ...(kind === 'robot' ? { robot: true } : {}), rights }
}
