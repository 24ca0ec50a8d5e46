import { noRights } from '@berth/access'
import { type Principal, Problem, type Sql } from '@berth/service'
import { administers, rightsOf } from '../access/rights.ts'
import type { Account } from '../accounts/account.ts'

/** Who has logged in, as every service knows it, with what it may do. Whoever has the role `admin` is an administrator. */
export async function principalOf(sql: Sql, account: Account): Promise<Principal> {
  const rights = await rightsOf(sql, account)
  const { id, name, kind } = account
  return { id, name, admin: administers(rights), ...(kind === 'robot' ? { robot: true } : {}), rights }
}

/** Whether a login opens only the scopes that it is limited to. */
export function isLimited({ pass }: Account): boolean {
  return (pass?.scopes ?? null) !== null
}

/** What `/v2` is told of who has such a login: what it may do beside its scopes is not for this login. */
export function limitedTo(account: Account, principal: Principal): Principal {
  return isLimited(account) ? { ...principal, admin: false, rights: noRights(null) } : principal
}

/** Refuses (403) a login at the API that is limited to scopes. */
export function openToApi(account: Account): void {
  if (isLimited(account))
    throw new Problem(
      403,
      'limited_to_scopes',
      'This login is limited to scopes of docker, and does not open the API.',
      {
        hint: 'Use a personal token without scopes, or your password.',
      },
    )
}
