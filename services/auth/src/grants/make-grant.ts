import { randomUUID } from 'node:crypto'
import { authEvents, recordEvents } from '@berth/bus'
import { type Actor, type Database, notFound, Problem, type Sql, sqlState } from '@berth/service'
import type { Holder } from '../holders/holder.ts'
import type { Role } from '../roles/role.ts'
import { type GrantRow, grantColumns, grantSource, toldGrant } from './grant-row.ts'
import type { Target } from './target.ts'

// All of them travel with each request of their holder.
const mostOfHolder = 1_000
// So that who has one namespace neither fills up somebody else with grants on it, nor slows down every request of that.
const mostInNamespace = 250

/** Grants a role. Throws 409 when it is granted already, or when the holder has as many grants as it may. */
export async function makeGrant(
  db: Database,
  { holder, role, target }: { holder: Holder; role: Role; target: Target },
  actor: Actor,
): Promise<GrantRow> {
  const id = randomUUID()
  return translate(holder, () =>
    db.transaction(async (sql) => {
      await refuseTooMany(sql, holder, target)
      await sql.query(
        `insert into access_grant
           (id, holder_id, role, custom_role_id, everything, prefix, namespace, object_id, created_by, created_by_id)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
        [id, holder.id, ...roleValues(role), ...targetValues(target), actor.name, actor.id],
      )
      const row = await grantById(sql, id)
      await recordEvents(sql, [{ kind: authEvents.grantCreated, data: toldGrant(row), actor }])
      return row
    }),
  )
}

/** Gives a grant another role. */
export async function changeGrant(db: Database, grant: GrantRow, role: Role, actor: Actor): Promise<GrantRow> {
  return translate({ kind: grant.holderKind, name: grant.holderName }, () =>
    db.transaction(async (sql) => {
      await sql.query('update access_grant set role = $2, custom_role_id = $3 where id = $1', [
        grant.id,
        ...roleValues(role),
      ])
      const row = await grantById(sql, grant.id)
      await recordEvents(sql, [{ kind: authEvents.grantUpdated, data: toldGrant(row), actor }])
      return row
    }),
  )
}

/** A grant by its id. Throws 404. */
export async function grantById(sql: Sql, id: string): Promise<GrantRow> {
  const [row] = await sql.query<GrantRow>(`select ${grantColumns} from ${grantSource} where access_grant.id = $1`, [id])
  if (!row) throw notFound('grant', id)
  return row
}

function roleValues({ id, name }: Role): [string | null, string | null] {
  return id === null ? [name, null] : [null, id]
}

function targetValues(target: Target): unknown[] {
  return [
    'everything' in target,
    'prefix' in target ? target.prefix : null,
    'namespace' in target ? target.namespace : null,
    'object' in target ? target.object.id : null,
  ]
}

const counting = `
  select count(*) as count,
    count(*) filter (where split_part(coalesce(prefix, namespace, object.name), '/', 1) = $2) as "inNamespace"
  from access_grant
  left join object on object.id = object_id
  where holder_id = $1`

// Under the lock of the holder, so that those who grant at once do not pass the limit together.
async function refuseTooMany(sql: Sql, { id, kind, name }: Holder, target: Target): Promise<void> {
  await sql.query(
    `select
     from holder
     where id = $1
     for no key update`,
    [id],
  )
  const namespace = namespaceOf(target)
  const [row] = await sql.query<{ count: number; inNamespace: number }>(counting, [id, namespace])
  const refuse = (most: number, where: string) =>
    new Problem(409, 'too_many_grants', `The ${kind} "${name}" has ${most} grants${where}, which is the most.`, {
      hint: 'Grant on a namespace or a prefix instead of single objects.',
    })
  if ((row?.count ?? 0) >= mostOfHolder) throw refuse(mostOfHolder, '')
  if ((row?.inNamespace ?? 0) >= mostInNamespace) throw refuse(mostInNamespace, ` in "${namespace}"`)
}

/** The first segment of what a grant is on; null for everything. */
function namespaceOf(target: Target): string | null {
  if ('everything' in target) return null
  if ('namespace' in target) return target.namespace
  const [first = ''] = ('prefix' in target ? target.prefix : target.object.name).split('/', 1)
  return first
}

/** Says in the words of the API which constraint a change met. */
async function translate<T>({ kind, name }: Pick<Holder, 'kind' | 'name'>, change: () => Promise<T>): Promise<T> {
  try {
    return await change()
  } catch (error) {
    if (sqlState(error) === '23505')
      throw new Problem(409, 'granted_already', `The ${kind} "${name}" has this grant already.`, { cause: error })
    // Somebody deleted it in between.
    if (sqlState(error) === '23503')
      throw new Problem(404, 'gone', 'What was to be granted, to whom, or on what, was deleted just now.', {
        cause: error,
      })
    throw error
  }
}
