import { actorOf, badField, type Database, type Handlers, readPage, toPage } from '@berth/service'
import { createGroup, deleteGroup, updateGroup } from '../groups/change-groups.ts'
import { findGroup, listGroups, membersOf, showGroup } from '../groups/group.ts'
import { findProvider } from '../identity-providers/provider.ts'
import type { operations } from '../openapi-types.ts'

/** The API of groups. */
export function groupHandlers(db: Database) {
  const show = async (idOrName: string) => {
    const group = await findGroup(db, idOrName)
    return { ...showGroup(group), members: await membersOf(db, group.id) }
  }
  return {
    listGroups: async ({ query }) => {
      const page = readPage(query)
      const rows = await listGroups(db, page, query.q)
      return { status: 200, body: toPage(rows, page, (row) => row.name, showGroup) }
    },
    createGroup: async ({ body, principal }) => {
      const { name, members = [], external } = body
      if (external && members.length > 0)
        throw badField('members', 'come from the provider', 'Send members, or external, and not both.')
      const source = external && {
        providerId: (await findProvider(db, external.provider)).id,
        value: external.value,
      }
      const id = await createGroup(db, { name, members, source }, actorOf(principal))
      return { status: 201, headers: { location: `/api/v1/groups/${id}` }, body: await show(id) }
    },
    showGroup: async ({ params }) => ({ status: 200, body: await show(params.group) }),
    updateGroup: async ({ params, body, principal }) => {
      const group = await findGroup(db, params.group)
      await updateGroup(db, group, body, actorOf(principal))
      return { status: 200, body: await show(group.id) }
    },
    deleteGroup: async ({ params, principal }) => {
      await deleteGroup(db, await findGroup(db, params.group), actorOf(principal))
      return { status: 204 }
    },
  } satisfies Partial<Handlers<operations>>
}
