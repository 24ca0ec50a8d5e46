import { adminRights, builtInRoles, type Grant, isVerb, type Rights, type Verb } from '@berth/access'
import type { Sql } from '@berth/service'
import { authenticatedGroup } from '../holders/holder.ts'
import type { CopiedKind } from '../objects/object.ts'

/** Whose rights are asked for: one that was found to be active, or not to have ended. */
type Asked = { id: string; kind: 'user' | 'robot'; isAdmin: boolean }

type Held = {
  id: string
  role: string | null
  customVerbs: string[] | null
  everything: boolean
  prefix: string | null
  namespace: string | null
  kind: CopiedKind | null
  objectId: string | null
}

/** Those whose grants an account `$1` has: itself, the groups that it is in, and everybody with a login (`$2`). */
export const heldBy = `
  select $1::uuid as holder_id
  union all
  select group_id
  from group_member
  where member_id = $1::uuid
  union all
  select $2::uuid`

// One document, which is read a good deal faster than a row for each of some hundred grants.
const heldGrants = `
  select json_agg(
    json_build_object(
      'id', access_grant.id, 'role', role, 'customVerbs', custom_role.verbs, 'everything', everything, 'prefix', prefix,
      'namespace', namespace, 'kind', object.kind, 'objectId', object_id)
    order by seq) as grants
  from (${heldBy}) as held
  join access_grant using (holder_id)
  left join custom_role on custom_role.id = access_grant.custom_role_id
  left join object on object.id = access_grant.object_id`

/**
 * What an account may do, by one query: its grants, those of the groups that it is in, and those of everybody with a login. An
 * administrator may do everything. What a robot makes belongs to its namespace, so it owns nothing.
 */
export async function rightsOf(sql: Sql, { id, kind, isAdmin }: Asked): Promise<Rights> {
  if (isAdmin) return adminRights(id)
  const [row] = await sql.prepared<{ grants: Held[] | null }>('held-grants', heldGrants, [id, authenticatedGroup.id])
  return { accountId: kind === 'robot' ? null : id, grants: (row?.grants ?? []).map(toGrant) }
}

/** Whether somebody may do all that is for administrators, be it by the role `admin`. */
export function administers({ grants }: Rights): boolean {
  return grants.some((grant) => 'all' in grant && grant.verbs.includes('administer'))
}

/** The verbs of a role: of a built-in one, or as one of their own names them. */
export function verbsOf({ role, customVerbs }: { role: string | null; customVerbs: string[] | null }): readonly Verb[] {
  if (customVerbs) return customVerbs.filter(isVerb)
  return role !== null && Object.hasOwn(builtInRoles, role) ? builtInRoles[role as keyof typeof builtInRoles] : []
}

function toGrant(held: Held): Grant {
  const { id, everything, prefix, namespace, kind, objectId } = held
  const given = { id, verbs: verbsOf(held) }
  if (everything) return { ...given, all: true }
  if (prefix !== null) return { ...given, prefix }
  if (namespace !== null) return { ...given, namespace }
  if (kind === null || objectId === null) throw new Error(`the grant ${id} is on nothing`)
  return { ...given, kind, objectId }
}
