import type { Digest } from '@berth/oci'
import type { Database } from '@berth/service'
import { heldAt } from '../intervals/held.ts'

const memberAt = (table: string) => `exists (
    select
    from ${table} as member
    where member.repository_id = $1
      and member.digest = wanted.digest
      and case when $3::integer is null then member.until is null else ${heldAt('member', '$3::integer')} end)`

/** Which of these a repository has, in a version or now. */
export async function membersAt(
  db: Database,
  repositoryId: string,
  digests: readonly Digest[],
  version: number | null,
): Promise<Set<Digest>> {
  const rows = await db.query<{ digest: Digest }>(
    `select wanted.digest
     from unnest($2::text[]) as wanted (digest)
     where ${memberAt('manifest_interval')}
       or ${memberAt('blob_interval')}`,
    [repositoryId, digests, version],
  )
  return new Set(rows.map(({ digest }) => digest))
}
