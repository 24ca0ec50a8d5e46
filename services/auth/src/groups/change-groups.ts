import { randomUUID } from 'node:crypto'
import { authEvents, recordEvents } from '@berth/bus'
import { type Actor, badField, type Database, notFound, Problem, type Transaction } from '@berth/service'
import { deleteHolder } from '../grants/remove-grants.ts'
import { insertHolder } from '../holders/holder.ts'
import { type Group, isBuiltIn } from './group.ts'

/** Where the members of a group come from: whoever has a value in the group claim of a provider. */
export type GroupSource = { providerId: string; value: string }

/** Makes a group with its members, or with their source. Throws 409 when its name is taken. Answers its id. */
export async function createGroup(
  db: Database,
  { name, members, source }: { name: string; members: readonly string[]; source?: GroupSource | undefined },
  actor: Actor,
): Promise<string> {
  const id = randomUUID()
  await db.transaction(async (sql) => {
    await insertHolder(sql, { id, kind: 'group', name })
    await sql.query(
      `insert into user_group (id, name, created_by, created_by_id, provider_id, external_value)
       values ($1, $2, $3, $4, $5, $6)`,
      [id, name, actor.name, actor.id, source?.providerId ?? null, source?.value ?? null],
    )
    await writeMembers(sql, id, members)
    await recordEvents(sql, [{ kind: authEvents.groupCreated, data: { id, name }, actor }])
  })
  return id
}

/** Gives a group other members. Who is in no more loses what was granted to the group with the next token and the next request. */
export async function updateGroup(
  db: Database,
  group: Group,
  { members }: { members?: readonly string[] | undefined },
  actor: Actor,
): Promise<void> {
  refuseBuiltIn(group)
  const { id, name, external } = group
  if (external && members !== undefined)
    throw new Problem(409, 'external_group', `The members of "${name}" come from "${external.provider}".`, {
      field: 'members',
      hint: 'Change them there, or make another group.',
    })
  await db.transaction(async (sql) => {
    const [locked] = await sql.query(
      `select
       from user_group
       where id = $1
       for update`,
      [id],
    )
    if (!locked) throw notFound('group', name)
    if (members !== undefined) await writeMembers(sql, id, members)
    await recordEvents(sql, [{ kind: authEvents.groupUpdated, data: { id, name }, actor }])
  })
}

/** Deletes a group with what was granted to it; its members stay. */
export async function deleteGroup(db: Database, group: Group, actor: Actor): Promise<void> {
  refuseBuiltIn(group)
  const { id, name } = group
  await db.transaction(async (sql) => {
    if (!(await deleteHolder(sql, { id, kind: 'group', name }, actor))) throw notFound('group', name)
    await recordEvents(sql, [{ kind: authEvents.groupDeleted, data: { id, name }, actor }])
  })
}

async function writeMembers(sql: Transaction, groupId: string, members: readonly string[]): Promise<void> {
  const found = await sql.query<{ id: string; name: string }>(
    "select id, name from holder where kind <> 'group' and name = any($1::text[])",
    [members],
  )
  const known = new Map(found.map(({ id, name }) => [name, id]))
  const place = members.findIndex((name) => !known.has(name))
  if (place >= 0)
    throw badField(
      `members[${place}]`,
      `there is no user or robot "${members[place]}"`,
      'A group is in no other group.',
    )
  const ids = [...known.values()]
  await sql.query('delete from group_member where group_id = $1 and member_id <> all($2::uuid[])', [groupId, ids])
  await sql.query(
    `insert into group_member (group_id, member_id)
     select $1, id
     from unnest($2::uuid[]) as member (id)
     on conflict do nothing`,
    [groupId, ids],
  )
}

function refuseBuiltIn(group: Group): void {
  if (isBuiltIn(group))
    throw new Problem(409, 'built_in', `The group "${group.name}" is built in: everybody with a login is in it.`, {
      hint: 'Grant it less, or make a group of your own: POST /api/v1/groups.',
    })
}
