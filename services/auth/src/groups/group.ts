import { isUuid, notFound, type PageRequest, type Sql } from '@berth/service'
import { authenticatedGroup } from '../holders/holder.ts'

export type Group = {
  id: string
  name: string
  createdAt: Date
  createdBy: string | null
  createdById: string | null
  /** Where its members come from, if that is not from here. */
  external: { provider: string; value: string } | null
  memberCount: number
}

const columns = `id, name, created_at as "createdAt", created_by as "createdBy", created_by_id as "createdById",
  (select count(*) from group_member where group_id = user_group.id) as "memberCount",
  (
    select json_build_object('provider', identity_provider.name, 'value', external_value)
    from identity_provider
    where identity_provider.id = provider_id
  ) as external`

/** A group by id or name. Throws 404. */
export async function findGroup(sql: Sql, idOrName: string): Promise<Group> {
  const [group] = await sql.query<Group>(
    `select ${columns} from user_group where ${isUuid(idOrName) ? 'id = $1::uuid' : 'name = $1'}`,
    [idOrName],
  )
  if (!group) throw notFound('group', idOrName)
  return group
}

/** A page of groups by name, and one more. */
export function listGroups(sql: Sql, { after, limit }: PageRequest, q: string | undefined): Promise<Group[]> {
  return sql.query<Group>(
    `select ${columns}
     from user_group
     where name > $1 and strpos(name, $2) > 0
     order by name
     limit $3`,
    [after ?? '', q ?? '', limit + 1],
  )
}

/** The names of the users and robots in a group. */
export async function membersOf(sql: Sql, groupId: string): Promise<string[]> {
  const rows = await sql.query<{ name: string }>(
    `select name
     from group_member
     join holder on holder.id = member_id
     where group_id = $1
     order by name`,
    [groupId],
  )
  return rows.map(({ name }) => name)
}

export function isBuiltIn({ id }: Pick<Group, 'id'>): boolean {
  return id === authenticatedGroup.id
}

/** How lists show a group. What is built in has everybody, and no list of them. */
export function showGroup(group: Group) {
  const { id, name, external, createdAt, createdBy, createdById, memberCount } = group
  const builtIn = isBuiltIn(group)
  return {
    id,
    name,
    builtIn,
    external,
    memberCount: builtIn ? null : memberCount,
    createdAt: createdAt.toISOString(),
    createdBy,
    createdById,
  }
}
