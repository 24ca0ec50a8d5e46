import type { Sql } from '@berth/service'
import { parseScopes } from '@berth/tokens'
import { decideScopes } from '../access/decide-scopes.ts'
import type { Account } from '../accounts/account.ts'
import { isLimited, principalOf } from '../login/principal.ts'
import type { TokenContent } from '../tokens/issue.ts'

/** What a token opens: what is granted of the scopes that were asked for; where none was, the API. */
export async function decideContent(
  sql: Sql,
  account: Account | undefined,
  scopes: readonly string[],
): Promise<TokenContent> {
  const api = scopes.every((text) => text.trim() === '')
  if (!account) return { account, isAdmin: false, api: false, limited: false, access: [] }
  const { admin, rights } = await principalOf(sql, account)
  const limited = isLimited(account)
  const access = await decideScopes(sql, rights, parseScopes(scopes), account.pass?.scopes)
  return { account, isAdmin: admin && !limited, api: api && !limited, limited, access }
}
