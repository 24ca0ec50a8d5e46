import type { Sql } from '@berth/service'
import type { Account } from '../accounts/account.ts'
import { hashOf } from './robot.ts'

type Found = Account & { isUseDue: boolean }

/**
 * The robot of a name with this secret, its present one or the one before while that is still good; `undefined` when that is not right
 * or the robot has ended. Nothing is counted: 256 bits are not guessed.
 */
export async function logInRobot(sql: Sql, name: string, secret: string): Promise<Account | undefined> {
  const [found] = await sql.prepared<Found>(
    'robot-login',
    `select id, name, 'robot' as kind, false as "isAdmin", session_epoch as "sessionEpoch",
       last_used_at is null or last_used_at < now() - interval '1 minute' as "isUseDue"
     from robot
     where name = $1
       and (expires_at is null or expires_at > now())
       and (secret_hash = $2 or (previous_hash = $2 and previous_until > now()))`,
    [name, hashOf(secret)],
  )
  if (!found) return undefined
  const { isUseDue, ...robot } = found
  if (isUseDue) await noteUse(sql, robot.id)
  return robot
}

async function noteUse(sql: Sql, id: string): Promise<void> {
  await sql.prepared(
    'robot-used',
    `update robot
     set last_used_at = now()
     where id = $1 and (last_used_at is null or last_used_at < now() - interval '1 minute')`,
    [id],
  )
}
