import type { ManifestRecord } from '@berth/commands'
import { Problem, type Sql } from '@berth/service'
import type { LockedRepository } from '../versions/locked-repository.ts'

// The limits keep PostgreSQL from reading all that the repository has, once for all digests, in place of one row for each.
const presentReferences = `
  select digest
  from blob
  where digest = any($2::text[])
    and state in ('present', 'remote')
    and (
      (
        select true
        from blob_interval as member
        where member.repository_id = $1
          and member.digest = blob.digest
          and member.until is null
        limit 1)
      or (
        select true
        from blob_link as link
        where link.repository_id = $1
          and link.digest = blob.digest
          and link.linked
        limit 1)
      or (
        select true
        from lease
        where lease.repository_id = $1
          and lease.digest = blob.digest
          and lease.expires_at > now()
        limit 1))
  union all
  select digest
  from manifest_interval
  where repository_id = $1
    and digest = any($3::text[])
    and until is null`

/** Takes for manifests what an index names by no type of a manifest, and what is one in this repository and no blob there. */
export async function settleRoles(
  sql: Sql,
  { id: repositoryId }: LockedRepository,
  manifest: ManifestRecord,
): Promise<ManifestRecord> {
  const unsure = manifest.references.flatMap(({ isUnsure, digest }) => (isUnsure ? [digest] : []))
  if (unsure.length === 0) return manifest
  const find = (blobs: readonly string[], manifests: readonly string[]) =>
    sql.prepared<{ digest: string }>('check-references', presentReferences, [repositoryId, blobs, manifests])
  const [blobs, manifests] = [await find(unsure, []), await find([], unsure)]
  const isBlob = new Set(blobs.map(({ digest }) => digest))
  const isManifest = new Set(manifests.map(({ digest }) => digest))
  const references = manifest.references.map((one) =>
    one.isUnsure && isManifest.has(one.digest) && !isBlob.has(one.digest) ? { ...one, role: 'manifest' as const } : one,
  )
  return { ...manifest, references }
}

/**
 * Refuses a manifest that names what is not in this repository: blobs must be linked to it, part of it, or kept for its pushes
 * since they were, manifests a part of it unless its indexes may be sparse. What may lie elsewhere (subject, foreign layers) is
 * not asked for. The blob rows found are held until the transaction ends, so that the collector cannot take them meanwhile.
 * Throws `manifest_blob_unknown` with every missing digest.
 */
export async function checkReferences(
  sql: Sql,
  { id: repositoryId, sparseIndexes }: LockedRepository,
  manifest: ManifestRecord,
): Promise<void> {
  const needed = manifest.references.filter(
    (reference) => !reference.optional && !(sparseIndexes && reference.role === 'manifest'),
  )
  if (needed.length === 0) return
  const blobs = needed.filter((reference) => reference.role !== 'manifest').map((reference) => reference.digest)
  const manifests = needed.filter((reference) => reference.role === 'manifest').map((reference) => reference.digest)
  // Held first, looked at then: what the collector had marked before we held it is seen as marked.
  const [, found] = await Promise.all([
    sql.prepared(
      'hold-blobs',
      `select
       from blob
       where digest = any($1::text[])
       order by digest
       for share`,
      [blobs],
    ),
    sql.prepared<{ digest: string }>('check-references', presentReferences, [repositoryId, blobs, manifests]),
  ])
  const present = new Set(found.map((row) => row.digest))
  const missing = [...new Set(needed.map((reference) => reference.digest).filter((digest) => !present.has(digest)))]
  if (missing.length === 0) return
  throw new Problem(
    400,
    'manifest_blob_unknown',
    `the manifest names ${missing.length} ${missing.length === 1 ? 'thing' : 'things'} that the repository does not have: ${missing.slice(0, 5).join(', ')}`,
    {
      hint: 'Push them first.',
      more: { missing },
    },
  )
}
