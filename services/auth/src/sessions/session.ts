import { createHash, randomBytes, randomUUID } from 'node:crypto'
import type { Database, Sql } from '@berth/service'
import { type Account, lockLiving } from '../accounts/account.ts'

/** A session that was not used for so long has ended: a working day. */
const idleHours = 12
/** How long one lasts at most, however much it is used. */
const longestDays = 7
const mostOfAccount = 50
const longestUserAgent = 300

export type Session = {
  id: string
  createdAt: Date
  lastUsedAt: Date
  expiresAt: Date
  address: string
  userAgent: string
}
/** From where a session was opened, so that people recognize theirs. */
export type OpenedFrom = { address: string; userAgent: string | undefined }

export const sessionColumns = `session.id, session.created_at as "createdAt", session.last_used_at as "lastUsedAt",
  least(session.expires_at, session.last_used_at + interval '${idleHours} hours') as "expiresAt", address, user_agent as "userAgent"`

/** That a session has not ended. */
export const isGoingOn = `session.expires_at > now() and session.last_used_at > now() - interval '${idleHours} hours'`

export function hashOfSession(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}

/**
 * Opens a session and answers its secret, of which only the hash is stored; `undefined` where the account has changed since it was found.
 * The session of `before` ends, which the browser forgets: nobody else has it. Of more than fifty of an account, the one that was not used
 * for longest ends.
 */
export async function openSession(
  db: Database,
  account: Account,
  from: OpenedFrom,
  before: string | undefined,
): Promise<string | undefined> {
  return db.transaction(async (sql) => {
    // The account first, as whatever ends its sessions has it.
    if (!(await lockLiving(sql, account))) return undefined
    if (before !== undefined) await endSession(sql, before)
    return insertSession(sql, account, from)
  })
}

async function insertSession(sql: Sql, account: Account, { address, userAgent = '' }: OpenedFrom): Promise<string> {
  const secret = `brs_${randomBytes(32).toString('base64url')}`
  await sql.query(
    `insert into session (id, hash, account, session_epoch, expires_at, address, user_agent)
     values ($1, $2, $3, $4, now() + make_interval(days => $5), $6, $7)`,
    [
      randomUUID(),
      hashOfSession(secret),
      account.id,
      account.sessionEpoch,
      longestDays,
      address,
      storable(userAgent).slice(0, longestUserAgent),
    ],
  )
  await sql.query(
    `delete from session
     where id in (
       select id
       from session
       where account = $1
       order by ${isGoingOn} desc, last_used_at desc, id
       offset $2)`,
    [account.id, mostOfAccount],
  )
  return secret
}

type Found = Account & { isUseDue: boolean }

/** The account of a session that goes on. */
export async function accountOfSession(sql: Sql, secret: string): Promise<Account | undefined> {
  const hash = hashOfSession(secret)
  const [found] = await sql.prepared<Found>(
    'account-of-session',
    `select account.id, account.name, 'user' as kind, is_admin as "isAdmin", account.session_epoch as "sessionEpoch",
       last_used_at < now() - interval '1 minute' as "isUseDue"
     from session
     join account on account.id = session.account
     where hash = $1
       and ${isGoingOn}
       and account.session_epoch = session.session_epoch
       and is_active`,
    [hash],
  )
  if (!found) return undefined
  const { isUseDue, ...account } = found
  if (isUseDue)
    await sql.prepared(
      'session-used',
      `update session
       set last_used_at = now()
       where hash = $1 and last_used_at < now() - interval '1 minute'`,
      [hash],
    )
  return account
}

/** The session of a secret, if it goes on. */
export async function findSession(sql: Sql, secret: string): Promise<Session | undefined> {
  const [session] = await sql.query<Session>(`select ${sessionColumns} from session where hash = $1 and ${isGoingOn}`, [
    hashOfSession(secret),
  ])
  return session
}

/** Ends the session of a secret, if there is one. */
export async function endSession(sql: Sql, secret: string): Promise<void> {
  await sql.query('delete from session where hash = $1', [hashOfSession(secret)])
}

/** Deletes what has ended. */
export async function pruneSessions(sql: Sql): Promise<void> {
  await sql.query(`delete from session where not (${isGoingOn})`)
}

// What a header may hold and a text of PostgreSQL, or a reader's terminal, may not.
function storable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '?')
}
