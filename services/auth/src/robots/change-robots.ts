import { randomUUID } from 'node:crypto'
import { authEvents, recordEvents } from '@berth/bus'
import { type Actor, type Database, notFound, Problem, type Sql } from '@berth/service'
import { deleteHolder } from '../grants/remove-grants.ts'
import { insertHolder } from '../holders/holder.ts'
import { newSecret, type Robot, robotColumns } from './robot.ts'

const mostInNamespace = 1_000

export type NewRobot = { name: string; namespace: string | null; description: string; expiresAt: Date | null }
/** Shown this once: only the hash of the secret is stored. */
export type WithSecret = { robot: Robot; secret: string }

/** Makes a robot. Throws 409 when its name is taken, or when its namespace has as many as it may. */
export async function createRobot(db: Database, wanted: NewRobot, actor: Actor): Promise<WithSecret> {
  const { namespace, description, expiresAt } = wanted
  const id = randomUUID()
  const name = namespace === null ? wanted.name : `${namespace}/${wanted.name}`
  const { secret, hash } = newSecret()
  const robot = await db.transaction(async (sql) => {
    await refuseTooMany(sql, namespace)
    await insertHolder(sql, { id, kind: 'robot', name })
    const [made] = await sql.query<Robot>(
      `insert into robot (id, name, namespace, description, secret_hash, expires_at, created_by, created_by_id)
       values ($1, $2, $3, $4, $5, $6, $7, $8)
       returning ${robotColumns}`,
      [id, name, namespace, description, hash, expiresAt, actor.name, actor.id],
    )
    if (!made) throw new Error('an insert answered no row')
    await recordEvents(sql, [{ kind: authEvents.robotCreated, data: told(made), actor }])
    return made
  })
  return { robot, secret }
}

/** Changes what is said of a robot, or its end. */
export async function updateRobot(
  db: Database,
  { id, name }: Robot,
  changes: { description?: string | undefined; expiresAt?: Date | null | undefined },
  actor: Actor,
): Promise<Robot> {
  return db.transaction(async (sql) => {
    const { description, expiresAt } = changes
    const [changed] = await sql.query<Robot>(
      `update robot
       set description = coalesce($2, description),
         expires_at = case when $3::boolean then $4 else expires_at end,
         told_days = case when $3::boolean then null else told_days end
       where id = $1
       returning ${robotColumns}`,
      [id, description ?? null, expiresAt !== undefined, expiresAt ?? null],
    )
    if (!changed) throw notFound('robot', name)
    await recordEvents(sql, [{ kind: authEvents.robotUpdated, data: told(changed), actor }])
    return changed
  })
}

// The secret before is good until the overlap is over, but never again where the robot had ended with it. A robot with an end gets as
// long a life as it was given before, unless it is told another end. Without an overlap what was issued to the secret before ends too.
const rotation = `
  update robot
  set secret_hash = $2, secret_made_at = now(),
    previous_hash = case when $3 > 0 and coalesce(expires_at > now(), true) then secret_hash end,
    previous_until = case
      when $3 > 0 and coalesce(expires_at > now(), true) then least(now() + make_interval(secs => $3), expires_at)
    end,
    expires_at = case when $4::boolean then $5 else now() + (expires_at - secret_made_at) end,
    told_days = null,
    session_epoch = session_epoch + case when $3 > 0 then 0 else 1 end
  where id = $1
  returning ${robotColumns}`

/** Gives a robot another secret; the one before is good for `overlapSeconds` more. Without `expiresAt` its life begins anew. */
export async function rotateRobot(
  db: Database,
  { id, name }: Robot,
  { overlapSeconds, expiresAt }: { overlapSeconds: number; expiresAt?: Date | null | undefined },
  actor: Actor,
): Promise<WithSecret> {
  const { secret, hash } = newSecret()
  const robot = await db.transaction(async (sql) => {
    const values = [id, hash, overlapSeconds, expiresAt !== undefined, expiresAt ?? null]
    const [rotated] = await sql.query<Robot>(rotation, values)
    if (!rotated) throw notFound('robot', name)
    await recordEvents(sql, [{ kind: authEvents.robotUpdated, data: told(rotated), actor }])
    return rotated
  })
  return { robot, secret }
}

/** Deletes a robot with what was granted to it. Its secrets are nobody's at once. */
export async function deleteRobot(db: Database, robot: Robot, actor: Actor): Promise<void> {
  const { id, name } = robot
  await db.transaction(async (sql) => {
    if (!(await deleteHolder(sql, { id, kind: 'robot', name }, actor))) throw notFound('robot', name)
    await recordEvents(sql, [{ kind: authEvents.robotDeleted, data: told(robot), actor }])
  })
}

// Under a lock, so that those who make robots at once do not pass the limit together.
async function refuseTooMany(sql: Sql, namespace: string | null): Promise<void> {
  await sql.query("select pg_advisory_xact_lock(hashtextextended('robots of ' || $1, 0))", [namespace ?? ''])
  const [row] = await sql.query<{ count: number }>(
    'select count(*) as count from robot where namespace is not distinct from $1',
    [namespace],
  )
  if ((row?.count ?? 0) < mostInNamespace) return
  const where = namespace === null ? 'without a namespace' : `of the namespace "${namespace}"`
  throw new Problem(409, 'too_many_robots', `There are ${mostInNamespace} robots ${where}, which is the most.`, {
    hint: 'Delete those that are not used: lastUsedAt says when each logged in last.',
  })
}

function told({ id, name, namespace }: Robot) {
  return { id, name, namespace }
}
