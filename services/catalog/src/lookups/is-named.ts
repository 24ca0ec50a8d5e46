import type { CatalogCommands } from '@berth/commands'
import type { Database } from '@berth/service'
import { heldNow } from '../intervals/held.ts'

const isNamedQuery = `
  select
  from manifest_reference as reference
  join manifest_interval as member on member.digest = reference.manifest
  join repository on repository.id = member.repository_id
    and ${heldNow('member', 'content_of')}
  where repository.name = $1
    and reference.child = $2
    and reference.role = 'manifest'
    and not exists (
      select
      from tag_interval as tag
      where tag.repository_id = repository.id
        and tag.digest = member.digest
        and tag.name ~ '^sha(256|512)-[0-9a-f]{64}')
  limit 1`

/** Whether an index of a repository names this manifest; one that came by a companion tag does not count. */
export async function isNamed(
  db: Database,
  { repository, digest }: CatalogCommands['check-named']['request'],
): Promise<boolean> {
  const found = await db.query(isNamedQuery, [repository, digest])
  return found.length > 0
}
