import { decide } from '@berth/access'
import type { TasksCommands } from '@berth/commands'
import type { Sql } from '@berth/service'

type Request = TasksCommands['find-schedules-of']['request']

const mostNamed = 100

/** The schedules that run as an account: names of those that the caller may see, and how many there are. */
export async function schedulesOf(
  sql: Sql,
  { accountId, rights }: Request,
): Promise<{ names: string[]; count: number }> {
  const rows = await sql.query<{ id: string; name: string; ownerId: string | null }>(
    `select id, name, owner_id as "ownerId"
     from schedule
     where run_as_id = $1
     order by name`,
    [accountId],
  )
  const seen = rows.filter((row) => decide(rights, 'schedule.read', { kind: 'schedule', ...row }).allowed)
  return { names: seen.slice(0, mostNamed).map(({ name }) => name), count: rows.length }
}

/** Has the schedules that run as one account run as another one from now on. */
export async function transferSchedules(
  sql: Sql,
  { accountId, to }: TasksCommands['transfer-schedules']['request'],
): Promise<void> {
  await sql.query(
    `update schedule
     set run_as_id = $2, run_as = $3, updated_at = now()
     where run_as_id = $1`,
    [accountId, to.id, to.name],
  )
}
