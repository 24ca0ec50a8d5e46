import { createHash, randomBytes } from 'node:crypto'
import { badField, isUuid, notSeen, type Sql } from '@berth/service'

export type Robot = {
  id: string
  name: string
  namespace: string | null
  description: string
  expiresAt: Date | null
  secretMadeAt: Date
  previousUntil: Date | null
  lastUsedAt: Date | null
  createdAt: Date
  createdBy: string
  createdById: string | null
}

export const robotColumns = `id, name, namespace, description, expires_at as "expiresAt", secret_made_at as "secretMadeAt",
  previous_until as "previousUntil", last_used_at as "lastUsedAt", created_at as "createdAt", created_by as "createdBy",
  created_by_id as "createdById"`

const form = /^brb_[A-Za-z0-9_-]{43}$/

/** A secret of 256 bits, and what is stored of it. */
export function newSecret(): { secret: string; hash: Buffer } {
  const secret = `brb_${randomBytes(32).toString('base64url')}`
  return { secret, hash: hashOf(secret) }
}

export function isRobotSecret(text: string): boolean {
  return form.test(text)
}

export function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}

/** A robot by id, or by the name that it logs in with. Throws 404. */
export async function robotNamed(sql: Sql, idOrName: string): Promise<Robot> {
  const [robot] = await sql.query<Robot>(
    `select ${robotColumns} from robot where ${isUuid(idOrName) ? 'id = $1::uuid' : 'name = $1'}`,
    [idOrName],
  )
  if (!robot) throw notSeen('robot', idOrName)
  return robot
}

/** The end that a client wants, which is to come. Throws 400. */
export function readEnd(expiresAt: string | null): Date | null {
  if (expiresAt === null) return null
  const end = new Date(expiresAt)
  if (Number.isNaN(end.getTime())) throw badField('expiresAt', 'is no time', 'For example 2027-01-31T00:00:00Z.')
  if (end.getTime() <= Date.now()) throw badField('expiresAt', 'is over already', 'Leave it out for no end.')
  return end
}

export function showRobot(robot: Robot) {
  const { id, name, namespace, description, createdBy, createdById } = robot
  const text = (time: Date | null) => time?.toISOString() ?? null
  return {
    id,
    name,
    namespace,
    description,
    expiresAt: text(robot.expiresAt),
    secretMadeAt: robot.secretMadeAt.toISOString(),
    previousSecretUntil: text(robot.previousUntil),
    lastUsedAt: text(robot.lastUsedAt),
    createdAt: robot.createdAt.toISOString(),
    createdBy,
    createdById,
  }
}
