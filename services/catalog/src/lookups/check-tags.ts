import type { CatalogCommands } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Database } from '@berth/service'
import { keepImmutable } from '../versions/immutable-tags.ts'

/** Says before a long work what its commit would say in the end: that a tag which is there must not move. Throws 403. */
export async function checkTags(
  db: Database,
  { repositoryId, tags }: CatalogCommands['check-tags']['request'],
): Promise<void> {
  const [repository] = await db.query<{ name: string; immutableTags: string[] }>(
    'select name, immutable_tags as "immutableTags" from repository where id = $1',
    [repositoryId],
  )
  if (!repository || repository.immutableTags.length === 0) return
  const there = await db.query<{ tag: string; from: Digest }>(
    `select name as tag, digest as "from"
     from tag_interval
     where repository_id = $1
       and until is null
       and name = any($2::text[])`,
    [repositoryId, tags],
  )
  keepImmutable(repository, there)
}
