import { randomUUID } from 'node:crypto'
import { authEvents, recordEvents } from '@berth/bus'
import { type Database, noteAudit, notFound, Problem, type Sql, type Transaction } from '@berth/service'
import type { Account } from '../accounts/account.ts'
import { insertAccount } from '../accounts/create-user.ts'
import { takeName } from '../holders/holder.ts'
import type { Provider } from '../identity-providers/provider.ts'
import type { Person } from './claims.ts'

/**
 * The account of somebody who has logged in through a provider, known by the issuer and its `sub`, and made where that is allowed. It is from
 * now on in those groups of the provider that this login names, and in no others. Throws 403.
 */
export async function accountOfPerson(db: Database, provider: Provider, person: Person): Promise<Account> {
  const { issuer, subject, groups } = person
  return db.transaction(async (sql) => {
    // Two first logins at once are one account.
    await sql.query("select pg_advisory_xact_lock(hashtextextended('berth oidc ' || $1 || ' ' || $2, 0))", [
      issuer,
      subject,
    ])
    await requireThere(sql, provider)
    const account = (await findPerson(sql, person)) ?? (await makePerson(sql, provider, person))
    await replaceGroups(sql, account.id, provider.id, groups)
    noteAudit({ actor: { id: account.id, name: account.name } })
    return account
  })
}

/** Throws 404 for a provider that was deleted while somebody logged in: what its people have ended before. It stays until the commit. */
async function requireThere(sql: Sql, { id, name }: Provider): Promise<void> {
  const [row] = await sql.query(
    `select
     from identity_provider
     where id = $1
     for key share`,
    [id],
  )
  if (!row) throw notFound('identity_provider', name)
}

async function findPerson(sql: Sql, { issuer, subject }: Person): Promise<Account | undefined> {
  const [found] = await sql.query<Account & { isActive: boolean }>(
    `update account
     set issuer_login_at = now()
     where issuer = $1 and subject = $2
     returning id, name, 'user' as kind, is_admin as "isAdmin", session_epoch as "sessionEpoch", is_active as "isActive"`,
    [issuer, subject],
  )
  if (!found) return undefined
  const { isActive, ...account } = found
  if (!isActive)
    throw new Problem(403, 'not_active', `The account "${account.name}" may not log in.`, {
      hint: 'Ask an administrator.',
    })
  return account
}

async function makePerson(sql: Transaction, provider: Provider, person: Person): Promise<Account> {
  const { issuer, subject } = person
  if (!provider.createAccounts)
    throw new Problem(403, 'no_account', 'You have no account here, and this provider makes none.', {
      hint: 'Have an administrator link one to your subject: PATCH /api/v1/users/{user} {"external": {"provider", "subject"}}.',
      more: { subject },
    })
  const id = randomUUID()
  const name = await takeFreeName(sql, id, person.wantedName)
  await insertAccount(sql, { id, name, isAdmin: false, mustChangePassword: false, external: { issuer, subject } })
  return { id, name, kind: 'user', isAdmin: false, sessionEpoch: 0 }
}

const mostTried = 100
// Berth itself is called so, and the account of the first start, which can be made again.
const neverFree = new Set(['admin', 'anonymous', 'berth'])

/** A name that is taken is followed by `-2` and so on: whose it is nobody else becomes. */
async function takeFreeName(sql: Sql, id: string, wanted: string): Promise<string> {
  for (let n = neverFree.has(wanted.toLowerCase()) ? 2 : 1; n <= mostTried; n++) {
    const name = n === 1 ? wanted : `${wanted}-${n}`
    if (await takeName(sql, { id, kind: 'user', name })) return name
  }
  throw new Problem(409, 'name_taken', `There are ${mostTried} accounts called "${wanted}" already.`, {
    hint: 'Have an administrator choose another usernameClaim.',
  })
}

const replacing = `
  with wanted as (
    select id
    from user_group
    where provider_id = $2
      and external_value = any($3::text[])
  ), left_behind as (
    delete from group_member
    using user_group
    where user_group.id = group_id
      and provider_id = $2
      and member_id = $1
      and group_id not in (
        select id
        from wanted)
    returning group_id
  ), joined as (
    insert into group_member (group_id, member_id)
    select id, $1
    from wanted
    on conflict do nothing
    returning group_id
  ), changed as (
    select group_id
    from left_behind
    union all
    select group_id
    from joined
  )
  select id, name
  from user_group
  join changed on changed.group_id = user_group.id`

/** Puts somebody into the groups of a provider with these values, and out of its other ones. */
async function replaceGroups(
  sql: Transaction,
  accountId: string,
  providerId: string,
  values: readonly string[],
): Promise<void> {
  const changed = await sql.query<{ id: string; name: string }>(replacing, [accountId, providerId, values])
  await recordEvents(
    sql,
    changed.map(({ id, name }) => ({ kind: authEvents.groupUpdated, data: { id, name } })),
  )
}
