import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { authEvents, recordEvents } from '@berth/bus'
import { type Actor, type Database, isUuid, notFound, type PageRequest, Problem, type Sql } from '@berth/service'
import { type Account, lockLiving } from '../accounts/account.ts'

const mostOfAccount = 100
// So that its owner still sees why it does not work any more.
const shownAfterEndDays = 30
const form = /^brp_[A-Za-z0-9_-]{43}$/

export type PersonalToken = {
  id: string
  name: string
  scopes: string[] | null
  createdAt: Date
  expiresAt: Date | null
  lastUsedAt: Date | null
}
export type NewPersonalToken = { name: string; scopes: readonly string[] | null; expiresAt: Date | null }

const columns = `id, name, scopes, created_at as "createdAt", expires_at as "expiresAt", last_used_at as "lastUsedAt"`

export function isPersonalToken(text: string): boolean {
  return form.test(text)
}

/**
 * Makes a token of a person, whose secret is stored as a hash only. Throws 409 when the name is taken or there are as many as there may be,
 * and 401 where the account has changed since it was found.
 */
export async function createPersonalToken(
  db: Database,
  account: Account,
  { name, scopes, expiresAt }: NewPersonalToken,
): Promise<{ token: PersonalToken; secret: string }> {
  const secret = `brp_${randomBytes(32).toString('base64url')}`
  const token = await db.transaction(async (sql) => {
    if (!(await lockLiving(sql, account)))
      throw new Problem(401, 'bad_credentials', 'This login has ended.', { hint: 'Log in again.' })
    await refuseTooMany(sql, account.id)
    const [made] = await sql.query<PersonalToken>(
      `insert into personal_token (id, account, name, hash, scopes, expires_at)
       values ($1, $2, $3, $4, $5, $6)
       on conflict (account, name) do nothing
       returning ${columns}`,
      [randomUUID(), account.id, name, hashOf(secret), scopes, expiresAt],
    )
    if (!made)
      throw new Problem(409, 'name_taken', `You have a token "${name}" already.`, {
        field: 'name',
        hint: 'Choose another name, or delete that one first.',
      })
    await recordEvents(sql, [{ kind: authEvents.tokenCreated, data: told(made, account), actor: actorIn(account) }])
    return made
  })
  return { token, secret }
}

/** A page of the tokens of an account by name, and one more. */
export function listPersonalTokens(
  sql: Sql,
  accountId: string,
  { after, limit }: PageRequest,
): Promise<PersonalToken[]> {
  return sql.query<PersonalToken>(
    `select ${columns}
     from personal_token
     where account = $1 and name > $2
     order by name
     limit $3`,
    [accountId, after ?? '', limit + 1],
  )
}

/** Deletes a token of an account, by id or name; it is nobody's at once. Throws 404. */
export async function deletePersonalToken(
  db: Database,
  owner: { id: string; name: string },
  idOrName: string,
): Promise<void> {
  await db.transaction(async (sql) => {
    const [gone] = await sql.query<PersonalToken>(
      `delete from personal_token
       where account = $1 and ${isUuid(idOrName) ? 'id = $2::uuid' : 'name = $2'}
       returning ${columns}`,
      [owner.id, idOrName],
    )
    if (!gone) throw notFound('token', idOrName)
    await recordEvents(sql, [{ kind: authEvents.tokenDeleted, data: told(gone, owner), actor: actorIn(owner) }])
  })
}

type Found = Account & { tokenId: string; scopes: string[] | null; endsAt: Date | null; isUseDue: boolean }

/**
 * The person of a name who has this token, with what the token is limited to; not one of a provider who has not logged in through it for
 * `externalDays`. Nothing is counted: 256 bits are not guessed.
 */
export async function logInByPersonalToken(
  sql: Sql,
  { name, secret, externalDays }: { name: string; secret: string; externalDays: number },
): Promise<Account | undefined> {
  const hash = hashOf(secret)
  const [found] = await sql.prepared<Found>(
    'personal-token-login',
    `select account.id, account.name, 'user' as kind, is_admin as "isAdmin", session_epoch as "sessionEpoch",
       personal_token.id as "tokenId", scopes, expires_at as "endsAt",
       last_used_at is null or last_used_at < now() - interval '1 minute' as "isUseDue"
     from personal_token
     join account on account.id = personal_token.account
     where hash = $2
       and account.name = $1
       and is_active
       and (expires_at is null or expires_at > now())
       and (issuer is null or issuer_login_at > now() - make_interval(days => $3))`,
    [name, hash, externalDays],
  )
  if (!found) return undefined
  const { tokenId, scopes, endsAt, isUseDue, ...account } = found
  if (isUseDue)
    await sql.prepared(
      'personal-token-used',
      `update personal_token
       set last_used_at = now()
       where hash = $1 and (last_used_at is null or last_used_at < now() - interval '1 minute')`,
      [hash],
    )
  return { ...account, pass: { id: tokenId, scopes, endsAt } }
}

/** Deletes what ended a while ago. */
export async function prunePersonalTokens(sql: Sql): Promise<void> {
  await sql.query('delete from personal_token where expires_at < now() - make_interval(days => $1)', [
    shownAfterEndDays,
  ])
}

export function showPersonalToken(token: PersonalToken) {
  const { id, name, scopes, createdAt, expiresAt, lastUsedAt } = token
  return {
    id,
    name,
    scopes,
    createdAt: createdAt.toISOString(),
    expiresAt: expiresAt?.toISOString() ?? null,
    lastUsedAt: lastUsedAt?.toISOString() ?? null,
  }
}

// The account is locked (`lockLiving`), so two that are made at once do not pass the limit together.
async function refuseTooMany(sql: Sql, accountId: string): Promise<void> {
  const [row] = await sql.query<{ count: number }>(
    'select count(*) as count from personal_token where account = $1 and (expires_at is null or expires_at > now())',
    [accountId],
  )
  if ((row?.count ?? 0) < mostOfAccount) return
  throw new Problem(409, 'too_many_tokens', `You have ${mostOfAccount} tokens, which is the most.`, {
    hint: 'Delete those that are not used: lastUsedAt says when each was used last.',
  })
}

function actorIn({ id, name }: { id: string; name: string }): Actor {
  return { id, name }
}

function told({ id, name }: PersonalToken, owner: { id: string; name: string }) {
  return { id, name, user: { id: owner.id, name: owner.name } }
}

function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}
