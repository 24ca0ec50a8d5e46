import type { ManifestRecord } from '@berth/commands'
import type { Sql } from '@berth/service'
import { recordBlobs } from './leases.ts'

/** Records manifests with their references; known ones stay as they are, for a digest can only mean one content. */
export async function recordManifests(sql: Sql, manifests: readonly ManifestRecord[]): Promise<void> {
  if (manifests.length === 0) return
  await recordBlobs(sql, manifests)
  const added = await sql.prepared<{ digest: string }>(
    'record-manifests',
    `insert into manifest (digest, media_type, is_index, size_bytes, artifact_type, subject, annotations)
     select digest, "mediaType", "isIndex", "sizeBytes", "artifactType", subject, annotations
     from jsonb_to_recordset($1) as row (digest text, "mediaType" text, "isIndex" boolean, "sizeBytes" bigint, "artifactType" text, subject text, annotations jsonb)
     on conflict do nothing returning digest`,
    [JSON.stringify(manifests.map(({ references: _references, ...facts }) => facts))],
  )
  const fresh = new Set(added.map((row) => row.digest))
  const references = manifests
    .filter((manifest) => fresh.has(manifest.digest))
    .flatMap((manifest) =>
      manifest.references.map((reference, place) => ({ manifest: manifest.digest, place, ...reference })),
    )
  if (references.length === 0) return
  await sql.prepared(
    'record-references',
    `insert into manifest_reference (manifest, place, role, child, media_type, size_bytes, optional, platform)
     select manifest, place, role, digest, "mediaType", "sizeBytes", optional, platform
     from jsonb_to_recordset($1) as row (manifest text, place integer, role text, digest text, "mediaType" text, "sizeBytes" bigint, optional boolean, platform jsonb)`,
    [JSON.stringify(references)],
  )
}
