import { badField, isUuid, notFound, Problem, type Sql } from '@berth/service'

const holderKinds = ['user', 'group', 'robot'] as const
export type HolderKind = (typeof holderKinds)[number]
/** Whoever can be granted something. */
export type Holder = { id: string; kind: HolderKind; name: string }

/** The group of every user that is active and every robot that has not ended; it is always there, and has no list of members. */
export const authenticatedGroup = { id: '00000000-0000-4000-8000-000000000001', name: 'authenticated' }

/** As whom Berth runs its default schedules, which nobody can be. */
const systemName = 'system'

/** Takes a name for a new user, group or robot: they share one space of names. Answers false when it is taken. */
export async function takeName(sql: Sql, { id, kind, name }: Holder): Promise<boolean> {
  if (name === systemName) return false
  const made = await sql.query(
    `insert into holder (id, kind, name)
     values ($1, $2, $3)
     on conflict (name) do nothing
     returning id`,
    [id, kind, name],
  )
  return made.length > 0
}

/** As `takeName`. Throws 409 when it is taken, and 400 for one that is written as an id: it would stand for whom that is of. */
export async function insertHolder(sql: Sql, holder: Holder): Promise<void> {
  const { kind, name } = holder
  if (isUuid(name)) throw badField('name', 'is written as an id', 'Choose another one, which nobody takes for an id.')
  if (name === systemName)
    throw badField('name', `"${systemName}" is what Berth itself is called`, 'Choose another one.')
  if (await takeName(sql, holder)) return
  const [other] = await sql.query<{ kind: string }>('select kind from holder where name = $1', [name])
  throw new Problem(409, 'name_taken', `There is a ${other?.kind ?? kind} "${name}" already.`, {
    field: 'name',
    hint: 'Users, groups and robots share one space of names: choose another one.',
  })
}

/** Somebody of a kind by id or name. Throws 404. */
export async function findHolder(sql: Sql, kind: HolderKind, idOrName: string): Promise<Holder> {
  const [holder] = await sql.query<Holder>(
    `select id, kind, name from holder where kind = $1 and ${isUuid(idOrName) ? 'id = $2::uuid' : 'name = $2'}`,
    [kind, idOrName],
  )
  if (!holder) throw notFound(kind, idOrName)
  return holder
}

/** Reads `user:ann`, `robot:team/ci` or `group:web`. Throws 400. */
export function readHolder(field: string, text: string, kinds: readonly HolderKind[]): [HolderKind, string] {
  const colon = text.indexOf(':')
  const kind = kinds.find((one) => one === text.slice(0, colon))
  const name = text.slice(colon + 1)
  if (!kind || name === '')
    throw badField(field, `has to be ${kinds.map((one) => `${one}:NAME`).join(' or ')}`, `For example ${kinds[0]}:ann.`)
  return [kind, name]
}
