import { actorOf, type Database, type Handlers, readPage, toPage } from '@berth/service'
import type { operations } from '../openapi-types.ts'
import { createRole, deleteRole, updateRole } from '../roles/change-roles.ts'
import { listRoles } from '../roles/list-roles.ts'
import { findRole, readVerbs, showRole } from '../roles/role.ts'

/** The API of roles: everybody with a login may see what a role is, administrators make their own. */
export function roleHandlers(db: Database) {
  return {
    listRoles: async ({ query }) => {
      const page = readPage(query)
      const rows = await listRoles(db, page, query.q)
      return { status: 200, body: toPage(rows, page, (row) => row.name, showRole) }
    },
    createRole: async ({ body, principal }) => {
      const { name, verbs } = body
      const role = await createRole(db, { name, verbs: readVerbs(verbs) }, actorOf(principal))
      return { status: 201, headers: { location: `/api/v1/roles/${role.id}` }, body: showRole(role) }
    },
    showRole: async ({ params }) => ({ status: 200, body: showRole(await findRole(db, params.role)) }),
    updateRole: async ({ params, body, principal }) => {
      const role = await findRole(db, params.role)
      return { status: 200, body: showRole(await updateRole(db, role, readVerbs(body.verbs), actorOf(principal))) }
    },
    deleteRole: async ({ params, principal }) => {
      await deleteRole(db, await findRole(db, params.role), actorOf(principal))
      return { status: 204 }
    },
  } satisfies Partial<Handlers<operations>>
}
