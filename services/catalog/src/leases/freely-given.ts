import type { CatalogCommands } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { badField, type Database } from '@berth/service'
import { heldNow } from '../intervals/held.ts'
import { ensureWrittenOut } from '../versions/ensure-written-out.ts'

const mostDigests = 1_000

/** What a distribution serves of a repository: its pinned version, or what is read as the latest, with what is loose. */
const served = (member: string) => heldNow(member, 'coalesce(shown.version, repository.content_of)')

const memberOf = (table: string) =>
  `exists (select from ${table} as member where member.repository_id = $1 and member.digest = wanted.digest and member.until is null)`

const shownBy = (table: string) =>
  `exists (
    select
    from ${table} as member
    join distribution as shown on shown.repository_id = member.repository_id and shown.access = 'public'
    join repository on repository.id = member.repository_id
    where member.digest = wanted.digest
      and ${served('member')})`

const query = `
  select wanted.digest
  from unnest($2::text[]) as wanted (digest)
  where ${memberOf('blob_interval')}
    or ${memberOf('manifest_interval')}
    or exists (select from blob_link as link where link.repository_id = $1 and link.digest = wanted.digest and link.linked)
    or ${shownBy('blob_interval')}
    or ${shownBy('manifest_interval')}`

/** Which of these digests the repository has, or every client may pull: to put them there tells no user anything new. */
export async function freelyGiven(
  db: Database,
  { repositoryId, digests }: CatalogCommands['list-freely-given']['request'],
): Promise<Digest[]> {
  if (digests.length > mostDigests) throw badField('digests', `takes ${mostDigests} at most`)
  await ensureWrittenOut(db, repositoryId)
  const rows = await db.query<{ digest: Digest }>(query, [repositoryId, digests])
  return rows.map((row) => row.digest)
}
