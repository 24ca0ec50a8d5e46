import type { Digest } from '@berth/oci'
import type { Database } from '@berth/service'
import type { Pointer } from './pointer.ts'

const held = 'since <= $2 and (until is null or until > $2)'

/** Up to `limit` tags after a name, in byte order. */
export async function listTags(db: Database, pointer: Pointer, after: string, limit: number): Promise<string[]> {
  const rows = await db.prepared<{ name: string }>(
    'list-tags',
    `select name from served_tag where repository_id = $1 and ${held} and name > $3 order by name limit $4`,
    [pointer.repositoryId, pointer.bound, after, limit],
  )
  return rows.map((row) => row.name)
}

/** Up to `limit` base paths after a name, in byte order: all of them, or those that anybody may pull. */
export async function listBasePaths(
  db: Database,
  options: { publicOnly: boolean; after: string; limit: number },
): Promise<string[]> {
  const rows = await db.prepared<{ name: string }>(
    'list-base-paths',
    `select base_path as name from pointer where base_path > $1 and (access = 'public' or not $2) order by base_path limit $3`,
    [options.after, options.publicOnly, options.limit],
  )
  return rows.map((row) => row.name)
}

export type Referrer = {
  digest: Digest
  mediaType: string
  sizeBytes: number
  artifactType: string | null
  annotations: Record<string, string>
}

/** Manifests served here whose `subject` is this digest, after a digest, in order. */
export async function listReferrers(
  db: Database,
  pointer: Pointer,
  subject: Digest,
  options: { artifactType: string | null; after: string; limit: number },
): Promise<Referrer[]> {
  return db.prepared<Referrer>(
    'list-referrers',
    `select facts.digest, media_type as "mediaType", size_bytes as "sizeBytes", artifact_type as "artifactType", annotations
     from manifest_facts as facts where subject = $3 and facts.digest > $4 and ($5::text is null or artifact_type = $5)
       and exists (select from served_manifest as member where member.repository_id = $1 and member.digest = facts.digest and ${held})
     order by facts.digest limit $6`,
    [pointer.repositoryId, pointer.bound, subject, options.after, options.artifactType, options.limit],
  )
}
