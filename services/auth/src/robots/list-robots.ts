import type { PageRequest, Sql } from '@berth/service'
import { type Robot, robotColumns } from './robot.ts'

/** A page of robots by name, and one more; `seen` is the condition that somebody may see one, with its parameters from `$5` on. */
export function listRobots(
  sql: Sql,
  { after, limit }: PageRequest,
  { q, namespace }: { q?: string; namespace?: string },
  seen: { condition: string; values: unknown[] },
): Promise<Robot[]> {
  return sql.query<Robot>(
    `select ${robotColumns}
     from robot
     where name > $1
       and strpos(name, $2) > 0
       and ($3::text is null or namespace = $3)
       and ${seen.condition}
     order by name
     limit $4`,
    [after ?? '', q ?? '', namespace ?? null, limit + 1, ...seen.values],
  )
}
