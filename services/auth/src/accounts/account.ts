import { adminRights, noRights } from '@berth/access'
import type { Principal, Sql } from '@berth/service'

/** Who has logged in, with what makes the login end: the epoch grows when the account's password changes. */
export type Account = { id: string; name: string; isAdmin: boolean; sessionEpoch: number }

const columns = 'id, name, is_admin as "isAdmin", session_epoch as "sessionEpoch"'

/** The account of an id; `undefined` when there is none any more. */
export async function accountById(sql: Sql, id: string): Promise<Account | undefined> {
  const [row] = await sql.prepared<Account>('account-by-id', `select ${columns} from account where id = $1`, [id])
  return row
}

/** The account of a name, with its password hash. */
export async function accountByName(sql: Sql, name: string): Promise<(Account & { passwordHash: string }) | undefined> {
  const [row] = await sql.prepared<Account & { passwordHash: string }>(
    'account-by-name',
    `select ${columns}, password_hash as "passwordHash" from account where name = $1`,
    [name],
  )
  return row
}

/** The accounts of these names that there are. */
export async function accountsByName(sql: Sql, names: readonly string[]): Promise<Account[]> {
  return sql.query<Account>(`select ${columns} from account where name = any($1::text[])`, [names])
}

/** An account as every service knows it, with what is granted to it. */
export function principalOf({ id, name, isAdmin }: Account): Principal {
  return { id, name, admin: isAdmin, rights: isAdmin ? adminRights(id) : noRights(id) }
}
