import { builtInRoles } from '@berth/access'
import type { PageRequest, Sql } from '@berth/service'
import { builtIn, type Role } from './role.ts'

// Those that are built in have their verbs in the program.
const listed = `
  select id, name, verbs, created_at as "createdAt"
  from custom_role
  union all
  select null, name, null, null
  from unnest($1::text[]) as built_in (name)`

/** A page of roles by name, built in or not, and one more. */
export async function listRoles(sql: Sql, { after, limit }: PageRequest, q: string | undefined): Promise<Role[]> {
  const rows = await sql.query<Role>(
    `select *
     from (${listed}) as role
     where name collate "C" > $2 and strpos(name, $3) > 0
     order by name collate "C"
     limit $4`,
    [Object.keys(builtInRoles), after ?? '', q ?? '', limit + 1],
  )
  return rows.map((row) => builtIn(row.name) ?? row)
}
