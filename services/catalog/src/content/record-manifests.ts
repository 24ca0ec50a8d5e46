import type { ManifestRecord } from '@berth/commands'
import type { Sql } from '@berth/service'
import { recordBlobs } from './leases.ts'

/** Records manifests with their references; known ones stay as they are, for a digest can only mean one content. */
export async function recordManifests(sql: Sql, manifests: readonly ManifestRecord[]): Promise<void> {
  if (manifests.length === 0) return
  await Promise.all([
    recordBlobs(sql, manifests),
    sql.prepared(
      'record-manifests',
      `with given as (
         select * from jsonb_to_recordset($1) as row (digest text, "mediaType" text, "isIndex" boolean, "sizeBytes" bigint,
           "artifactType" text, subject text, annotations jsonb, "references" jsonb)
       ),
       added as (
         insert into manifest (digest, media_type, is_index, size_bytes, artifact_type, subject, annotations)
         select digest, "mediaType", "isIndex", "sizeBytes", "artifactType", subject, annotations from given
         on conflict do nothing returning digest
       )
       insert into manifest_reference (manifest, place, role, child, media_type, size_bytes, optional, platform)
       select added.digest, reference.place, value ->> 'role', value ->> 'digest', value ->> 'mediaType', (value ->> 'sizeBytes')::bigint,
         (value ->> 'optional')::boolean, value -> 'platform'
       from added join given using (digest), jsonb_array_elements(given."references") with ordinality as reference (value, place)`,
      [JSON.stringify(manifests)],
    ),
  ])
}
