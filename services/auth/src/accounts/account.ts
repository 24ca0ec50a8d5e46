import type { Sql } from '@berth/service'

/**
 * Who has logged in, with what makes the login end: the epoch grows when what was issued before has to end, as with a change of the
 * password.
 */
export type Account = {
  id: string
  name: string
  kind: 'user' | 'robot'
  isAdmin: boolean
  sessionEpoch: number
  /** Set where it logged in by something that was given out for it and is less than its own password or secret. */
  pass?: Pass | undefined
}

/**
 * What limits such a login: the scopes that it opens, without which it opens all that the account may do, and its end. It is the id of a
 * personal token or a trust.
 */
type Pass = { id: string; scopes: readonly string[] | null; endsAt: Date | null }

const columns = `id, name, 'user' as kind, is_admin as "isAdmin", session_epoch as "sessionEpoch"`

// Users that are active, and robots that have not ended: nobody else is anybody.
const living = `
  select holder.id, holder.name, holder.kind, coalesce(account.is_admin, false) as "isAdmin",
    coalesce(account.session_epoch, robot.session_epoch) as "sessionEpoch"
  from holder
  left join account on account.id = holder.id and is_active
  left join robot on robot.id = holder.id and (expires_at is null or expires_at > now())
  where (account.id is not null or robot.id is not null)`

/** The account of an id, a user or a robot; `undefined` when there is none any more. */
export async function accountById(sql: Sql, id: string): Promise<Account | undefined> {
  const [row] = await sql.prepared<Account>('account-by-id', `${living} and holder.id = $1`, [id])
  return row
}

/** The user of a name, with the hash of its password, if it has one. */
export async function accountByName(
  sql: Sql,
  name: string,
): Promise<(Account & { passwordHash: string | null }) | undefined> {
  const [row] = await sql.prepared<Account & { passwordHash: string | null }>(
    'account-by-name',
    `select ${columns}, password_hash as "passwordHash" from account where name = $1 and is_active`,
    [name],
  )
  return row
}

/** The users and robots of these ids that there are. */
export async function accountsById(sql: Sql, ids: readonly string[]): Promise<Account[]> {
  return sql.query<Account>(`${living} and holder.id = any($1::uuid[])`, [ids])
}

/**
 * Locks a user for the rest of the transaction. False when it is no more as it was found: not active, or of another epoch. What is issued
 * under the lock ends with whatever ends what was issued, be it a moment later.
 */
export async function lockLiving(sql: Sql, { id, sessionEpoch }: Account): Promise<boolean> {
  const [row] = await sql.query(
    `select
     from account
     where id = $1 and session_epoch = $2 and is_active
     for no key update`,
    [id, sessionEpoch],
  )
  return row !== undefined
}

/** The users and robots of these names that there are. */
export async function accountsByName(sql: Sql, names: readonly string[]): Promise<Account[]> {
  return sql.query<Account>(`${living} and holder.name = any($1::text[])`, [names])
}
