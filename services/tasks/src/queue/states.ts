import type { TaskError, TaskState } from '@berth/commands'
import type { Sql } from '@berth/service'

type State = { id: string; state: TaskState; error: TaskError | null }

/** How it stands with these tasks; those that do not exist are left out. */
export async function taskStates(sql: Sql, ids: readonly string[]): Promise<State[]> {
  return sql.query<State>('select id, state, error from task where id = any($1::uuid[])', [ids])
}
