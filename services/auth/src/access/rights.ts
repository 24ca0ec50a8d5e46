import { adminRights, builtInRoles, type Grant, isVerb, type Rights, type Verb } from '@berth/access'
import type { Sql } from '@berth/service'
import { authenticatedGroup } from '../holders/holder.ts'
import type { CopiedKind } from '../objects/object.ts'

/** Whose rights are asked for: one that was found to be active, or not to have ended. */
type Asked = { id: string; kind: 'user' | 'robot'; isAdmin: boolean }

/** A grant as somebody holds it. */
export type HeldGrant = {
  accountId: string
  id: string
  /** Who was given it: the account itself, or a group that it is in. */
  holderId: string
  role: string | null
  customRole: string | null
  customVerbs: string[] | null
  everything: boolean
  prefix: string | null
  namespace: string | null
  kind: CopiedKind | null
  objectId: string | null
  objectName: string | null
}

const heldGrants = `
  with held as (
    select id as account_id, id as holder_id
    from unnest($1::uuid[]) as account (id)
    union all
    select member_id, group_id
    from group_member
    where member_id = any($1::uuid[])
    union all
    select id, $2::uuid
    from unnest($1::uuid[]) as account (id))
  select account_id as "accountId", access_grant.id, access_grant.holder_id as "holderId", role, custom_role.name as "customRole",
    custom_role.verbs as "customVerbs", everything, prefix, namespace, object.kind, object_id as "objectId",
    object.name as "objectName"
  from held
  join access_grant on access_grant.holder_id = held.holder_id
  left join custom_role on custom_role.id = access_grant.custom_role_id
  left join object on object.id = access_grant.object_id
  order by access_grant.seq`

/** The grants of accounts, of the groups that they are in, and of everybody with a login. */
export function grantsOf(sql: Sql, accountIds: readonly string[]): Promise<HeldGrant[]> {
  return sql.prepared<HeldGrant>('held-grants', heldGrants, [accountIds, authenticatedGroup.id])
}

/** What an account may do, by one query; an administrator may do everything. */
export async function rightsOf(sql: Sql, account: Asked): Promise<Rights> {
  if (account.isAdmin) return adminRights(account.id)
  return rightsBy(account, await grantsOf(sql, [account.id]))
}

/** The rights of several accounts, by their ids. */
export async function rightsOfAll(sql: Sql, accounts: readonly Asked[]): Promise<Map<string, Rights>> {
  const others = accounts.filter(({ isAdmin }) => !isAdmin).map(({ id }) => id)
  const held = Map.groupBy(await grantsOf(sql, others), ({ accountId }) => accountId)
  return new Map(
    accounts.map((account) => [
      account.id,
      account.isAdmin ? adminRights(account.id) : rightsBy(account, held.get(account.id) ?? []),
    ]),
  )
}

// What a robot makes belongs to its namespace: it owns nothing.
function rightsBy({ id, kind }: Asked, held: readonly HeldGrant[]): Rights {
  return { accountId: kind === 'robot' ? null : id, grants: held.map(toGrant) }
}

/** Whether somebody may do all that is for administrators, be it by the role `admin`. */
export function administers({ grants }: Rights): boolean {
  return grants.some((grant) => 'all' in grant && grant.verbs.includes('administer'))
}

/** The verbs of a role: of a built-in one, or as one of their own names them. */
export function verbsOf({ role, customVerbs }: Pick<HeldGrant, 'role' | 'customVerbs'>): readonly Verb[] {
  if (role !== null && Object.hasOwn(builtInRoles, role)) return builtInRoles[role as keyof typeof builtInRoles]
  return (customVerbs ?? []).filter(isVerb)
}

function toGrant(held: HeldGrant): Grant {
  const { id, everything, prefix, namespace, kind, objectId } = held
  const given = { id, verbs: verbsOf(held) }
  if (everything) return { ...given, all: true }
  if (prefix !== null) return { ...given, prefix }
  if (namespace !== null) return { ...given, namespace }
  if (kind === null || objectId === null) throw new Error(`the grant ${id} is on nothing`)
  return { ...given, kind, objectId }
}
