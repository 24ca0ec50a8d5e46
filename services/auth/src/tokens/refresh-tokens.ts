import { createHash, randomBytes } from 'node:crypto'
import type { Sql } from '@berth/service'
import type { Account } from '../accounts/account.ts'

/** The user name under which docker sends a refresh token as the password. */
export const refreshTokenUser = '<token>'

const lifeDays = 90
const mostOfAccount = 100
const form = /^brt_[A-Za-z0-9_-]{43}$/

/**
 * Makes a refresh token for a user; only its hash is stored. It ends 90 days after its last use; of more than a hundred of a user, the
 * one that was not used for longest goes. A robot gets none (`undefined`), nor does who logged in by a personal token or the like: it would
 * outlive that by one.
 */
export async function makeRefreshToken(sql: Sql, account: Account): Promise<string | undefined> {
  if (account.kind === 'robot' || account.pass) return undefined
  const token = `brt_${randomBytes(32).toString('base64url')}`
  await sql.query(
    'insert into refresh_token (hash, account, session_epoch, expires_at) values ($1, $2, $3, now() + make_interval(days => $4))',
    [hashOf(token), account.id, account.sessionEpoch, lifeDays],
  )
  await sql.query(
    `delete from refresh_token
     where hash in (
       select hash
       from refresh_token
       where account = $1
       order by coalesce(last_used_at, created_at) desc, hash
       offset $2)`,
    [account.id, mostOfAccount],
  )
  return token
}

/** The account of a refresh token that is good now; its end moves on. */
export async function findRefreshToken(sql: Sql, token: string): Promise<Account | undefined> {
  if (!form.test(token)) return undefined
  const [row] = await sql.query<Account>(
    `update refresh_token
     set last_used_at = now(), expires_at = now() + make_interval(days => $2)
     from account
     where hash = $1
       and expires_at > now()
       and account.id = refresh_token.account
       and account.session_epoch = refresh_token.session_epoch
       and is_active
     returning account.id, account.name, 'user' as kind, is_admin as "isAdmin", account.session_epoch as "sessionEpoch"`,
    [hashOf(token), lifeDays],
  )
  return row
}

/** Deletes what has run out. */
export async function pruneRefreshTokens(sql: Sql): Promise<void> {
  await sql.query('delete from refresh_token where expires_at <= now()')
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
