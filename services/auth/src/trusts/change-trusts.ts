import { randomUUID } from 'node:crypto'
import { authEvents, recordEvents } from '@berth/bus'
import {
  type Actor,
  assignments,
  badField,
  columnValues,
  type Database,
  insertQuery,
  madeBy,
  notFound,
  Problem,
  sqlState,
  type Transaction,
} from '@berth/service'
import { checkIssuer } from '../issuers/issuer.ts'
import { checkConditions } from './conditions.ts'
import { findTrust, type Trust, type TrustFields, trustFields } from './trust.ts'

type Robot = { id: string; name: string }
/** What can be changed: with another issuer or name it is another trust. */
export type TrustChanges = Partial<Omit<TrustFields, 'name' | 'issuer'>>

const mostTrusts = 1_000

/** Makes a trust, by which tokens of an issuer stand for a robot. Throws 400 for what cannot be, 409 when its name is taken. */
export async function createTrust(db: Database, fields: TrustFields, robot: Robot, actor: Actor): Promise<Trust> {
  check(fields)
  const id = randomUUID()
  const values = { id, ...columnValues(trustFields, fields), robot_id: robot.id, ...madeBy(actor) }
  const insert = insertQuery('trust', values)
  const { name } = fields
  return withRobot(robot, () =>
    db.transaction(async (sql) => {
      await refuseTooMany(sql)
      const made = await sql.query(`${insert.text} on conflict (name) do nothing returning id`, insert.values)
      if (made.length === 0)
        throw new Problem(409, 'name_taken', `There is a trust "${name}" already.`, {
          field: 'name',
          hint: 'Choose another name.',
        })
      const trust = await findTrust(sql, id)
      await recordEvents(sql, [{ kind: authEvents.trustCreated, data: told(trust), actor }])
      return trust
    }),
  )
}

/** Changes what was sent of a trust. Throws 400 for what cannot be. */
export async function updateTrust(
  db: Database,
  { id, name }: Trust,
  { changes, robot }: { changes: TrustChanges; robot: Robot | undefined },
  actor: Actor,
): Promise<Trust> {
  const values: Record<string, unknown> = {
    ...columnValues<Partial<TrustFields>>(trustFields, changes),
    ...(robot ? { robot_id: robot.id } : {}),
  }
  return withRobot(robot, () =>
    db.transaction(async (sql) => {
      const [locked] = await sql.query<{ robotId: string }>(
        `select robot_id as "robotId"
         from trust
         where id = $1
         for update`,
        [id],
      )
      if (!locked) throw notFound('trust', name)
      check({ ...(await findTrust(sql, id)), ...changes })
      await sql.query(`update trust set ${assignments(values, 2)} where id = $1`, [id, ...Object.values(values)])
      // What it took before it may take no more: tokens that were got by it end at the API, with all others of the robot.
      await sql.query('update robot set session_epoch = session_epoch + 1 where id = $1', [locked.robotId])
      const changed = await findTrust(sql, id)
      await recordEvents(sql, [{ kind: authEvents.trustUpdated, data: told(changed), actor }])
      return changed
    }),
  )
}

/** Deletes a trust; its tokens are good for nothing at once. */
export async function deleteTrust(db: Database, trust: Trust, actor: Actor): Promise<void> {
  await db.transaction(async (sql) => {
    const gone = await sql.query('delete from trust where id = $1 returning id', [trust.id])
    if (gone.length === 0) throw notFound('trust', trust.name)
    await recordEvents(sql, [{ kind: authEvents.trustDeleted, data: told(trust), actor }])
  })
}

function check(fields: TrustFields): void {
  checkIssuer(fields)
  checkConditions(fields.issuer, fields.claims)
}

/** A robot that is deleted at the same time is as good as none. */
async function withRobot<T>(robot: Robot | undefined, write: () => Promise<T>): Promise<T> {
  try {
    return await write()
  } catch (error) {
    if (sqlState(error) !== '23503') throw error
    throw badField('robot', `there is no robot "${robot?.name}" any more`)
  }
}

async function refuseTooMany(sql: Transaction): Promise<void> {
  await sql.query("select pg_advisory_xact_lock(hashtextextended('berth trusts', 0))")
  const [row] = await sql.query<{ count: number }>('select count(*) as count from trust')
  if ((row?.count ?? 0) < mostTrusts) return
  throw new Problem(409, 'too_many_trusts', `There are ${mostTrusts} trusts, which is the most.`, {
    hint: 'One trust takes several values for a claim. lastUsedAt says which are not used.',
  })
}

function told({ id, name, issuer, robotId, robotName }: Trust) {
  return { id, name, issuer, robot: { id: robotId, name: robotName } }
}
