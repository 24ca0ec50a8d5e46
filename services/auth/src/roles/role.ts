import { type BuiltInRole, builtInRoles, isVerb, type Verb, verbs } from '@berth/access'
import { badField, isUuid, notFound, type Sql } from '@berth/service'

/** A role: verbs under a name. Those that are built in have no id. */
export type Role = { id: string | null; name: string; verbs: readonly Verb[]; createdAt: Date | null }

/** The built-in role of a name. */
export function builtIn(name: string): Role | undefined {
  if (!Object.hasOwn(builtInRoles, name)) return undefined
  return { id: null, name, verbs: builtInRoles[name as BuiltInRole], createdAt: null }
}

export const roleColumns = 'id, name, verbs, created_at as "createdAt"'

/** A role by id or name. Throws 404. */
export async function findRole(sql: Sql, idOrName: string): Promise<Role> {
  const known = builtIn(idOrName)
  if (known) return known
  const [role] = await sql.query<Role>(
    `select ${roleColumns} from custom_role where ${isUuid(idOrName) ? 'id = $1::uuid' : 'name = $1'}`,
    [idOrName],
  )
  if (!role) throw notFound('role', idOrName)
  return role
}

/** Reads the verbs of a role of their own. Throws 400 that names the place of one that is none. */
export function readVerbs(texts: readonly string[]): Verb[] {
  return texts.map((text, place) => {
    if (!isVerb(text))
      throw badField(`verbs[${place}]`, `"${text}" is no verb`, `The verbs are ${Object.keys(verbs).join(', ')}.`)
    if (text === 'administer')
      throw badField(`verbs[${place}]`, '"administer" belongs to the role admin alone', 'Grant that role, on *.')
    return text
  })
}

export function showRole({ id, name, verbs, createdAt }: Role) {
  return { id, name, verbs: [...verbs], builtIn: id === null, createdAt: createdAt?.toISOString() ?? null }
}
