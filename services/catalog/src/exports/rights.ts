import { decide, type Rights } from '@berth/access'
import type { Sql } from '@berth/service'

/** The repositories of an export that somebody may not pull; of one that is gone its old name decides. */
export async function refusedOf(sql: Sql, exportId: string, rights: Rights): Promise<string[]> {
  const rows = await sql.query<{ id: string; exported: string; name: string | null; ownerId: string | null }>(
    `select repository_id as id, export_repository.name as exported, repository.name, owner_id as "ownerId"
     from export_repository
     left join repository on repository.id = repository_id
     where export_id = $1
     order by export_repository.name`,
    [exportId],
  )
  return rows
    .filter(
      ({ id, name, exported, ownerId }) =>
        !decide(rights, 'pull', { kind: 'repository', id, name: name ?? exported, ownerId }).allowed,
    )
    .map(({ exported }) => exported)
}
