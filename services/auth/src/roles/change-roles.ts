import { randomUUID } from 'node:crypto'
import type { Verb } from '@berth/access'
import { authEvents, recordEvents } from '@berth/bus'
import { type Actor, type Database, notFound, Problem, sqlState } from '@berth/service'
import { builtIn, type Role, roleColumns } from './role.ts'

/** Makes a role of their own. Throws 409 when there is one of this name, or a built-in one. */
export async function createRole(
  db: Database,
  { name, verbs }: { name: string; verbs: Verb[] },
  actor: Actor,
): Promise<Role> {
  if (builtIn(name)) throw nameTaken(name, 'is built in')
  return db.transaction(async (sql) => {
    const [role] = await sql.query<Role>(
      `insert into custom_role (id, name, verbs, created_by, created_by_id)
       values ($1, $2, $3, $4, $5)
       on conflict (name) do nothing
       returning ${roleColumns}`,
      [randomUUID(), name, unique(verbs), actor.name, actor.id],
    )
    if (!role) throw nameTaken(name, 'is there already')
    await recordEvents(sql, [{ kind: authEvents.roleCreated, data: told(role), actor }])
    return role
  })
}

/** Gives a role of their own other verbs: whoever has the role has these from now on. */
export async function updateRole(db: Database, role: Role, verbs: Verb[], actor: Actor): Promise<Role> {
  refuseBuiltIn(role)
  return db.transaction(async (sql) => {
    const [changed] = await sql.query<Role>(
      `update custom_role
       set verbs = $2
       where id = $1
       returning ${roleColumns}`,
      [role.id, unique(verbs)],
    )
    if (!changed) throw notFound('role', role.name)
    await recordEvents(sql, [{ kind: authEvents.roleUpdated, data: told(changed), actor }])
    return changed
  })
}

/** Deletes a role of their own. Throws 409 while somebody has it: what would be taken away is to be seen first. */
export async function deleteRole(db: Database, role: Role, actor: Actor): Promise<void> {
  refuseBuiltIn(role)
  try {
    await db.transaction(async (sql) => {
      const gone = await sql.query('delete from custom_role where id = $1 returning id', [role.id])
      if (gone.length === 0) throw notFound('role', role.name)
      await recordEvents(sql, [{ kind: authEvents.roleDeleted, data: told(role), actor }])
    })
  } catch (error) {
    if (sqlState(error) !== '23503') throw error
    throw new Problem(409, 'role_in_use', `The role "${role.name}" is granted to somebody.`, {
      hint: `GET /api/v1/grants?role=${role.name} shows the grants: delete them first.`,
      cause: error,
    })
  }
}

function refuseBuiltIn({ id, name }: Role): void {
  if (id === null)
    throw new Problem(409, 'built_in', `The role "${name}" is built in and stays as it is.`, {
      hint: 'Make a role of your own: POST /api/v1/roles.',
    })
}

function nameTaken(name: string, why: string): Problem {
  return new Problem(409, 'name_taken', `A role "${name}" ${why}.`, { field: 'name', hint: 'Choose another name.' })
}

function unique(verbs: readonly Verb[]): Verb[] {
  return [...new Set(verbs)]
}

function told({ id, name, verbs }: Role) {
  return { id: id ?? '', name, verbs: [...verbs] }
}
