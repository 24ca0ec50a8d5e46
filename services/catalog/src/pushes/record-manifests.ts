import type { ManifestRecord, StoredBlob } from '@berth/commands'
import { listedAnnotations, manifestFacts, readableConfig } from '@berth/oci'
import type { Sql } from '@berth/service'

const insertManifests = `
  with given as (
    select *
    from jsonb_to_recordset($1) as row (
      digest text, "mediaType" text, "isIndex" boolean, "sizeBytes" bigint, "artifactType" text, subject text,
      annotations jsonb, "references" jsonb, envelope jsonb, facts jsonb, "configUnread" boolean)),
  added as (
    insert into manifest (
      digest, media_type, is_index, size_bytes, artifact_type, subject, annotations, envelope, facts, config_unread)
    select digest, "mediaType", "isIndex", "sizeBytes", "artifactType", subject, annotations, envelope ->> 'digest', facts,
      "configUnread"
    from given
    on conflict do nothing
    returning digest)
  insert into manifest_reference (manifest, place, role, child, media_type, size_bytes, optional, platform)
  select added.digest, reference.place, value ->> 'role', value ->> 'digest', value ->> 'mediaType',
    (value ->> 'sizeBytes')::bigint, (value ->> 'optional')::boolean, value -> 'platform'
  from added
  join given using (digest), jsonb_array_elements(given."references") with ordinality as reference (value, place)
  union all
  select added.digest, 0, 'layer', envelope ->> 'digest', "mediaType", (envelope ->> 'sizeBytes')::bigint, false, null
  from added
  join given using (digest)
  where envelope is not null`

// Behind all places that a manifest can have.
const placesOfOtherRoles = 1_000_000

/** What is a blob in one repository may be a manifest in another: an index that leaves it open names it as both then. */
const insertOtherRoles = `
  insert into manifest_reference (manifest, place, role, child, media_type, size_bytes, optional, platform)
  select given.digest, ${placesOfOtherRoles} + reference.place, value ->> 'role', value ->> 'digest', value ->> 'mediaType',
    (value ->> 'sizeBytes')::bigint, false, null
  from jsonb_to_recordset($1) as given (digest text, "references" jsonb),
    jsonb_array_elements(given."references") with ordinality as reference (value, place)
  where not exists (
    select
    from manifest_reference as known
    where known.manifest = given.digest
      and known.child = value ->> 'digest'
      and known.role = value ->> 'role')
  on conflict do nothing`

/** Under which keys the bytes of a manifest lie: its own, and those of its envelope. */
export function storedOf({ digest, generation, sizeBytes, envelope }: ManifestRecord): StoredBlob[] {
  return [{ digest, generation, sizeBytes }, ...(envelope ? [envelope] : [])]
}

/**
 * Records manifests with their references; their bytes are noted apart (`recordBlobs`, `placeBlobs`). Known ones stay as they are,
 * for a digest can only mean one content. An envelope is a reference too, at place 0: so it comes, stays and goes with its manifest
 * (docs/decisions/0009).
 */
export async function recordManifests(sql: Sql, manifests: readonly ManifestRecord[]): Promise<void> {
  if (manifests.length === 0) return
  const unsure = manifests.filter(({ references }) => references.some(({ isUnsure }) => isUnsure))
  await Promise.all([
    sql.prepared('record-manifests', insertManifests, [JSON.stringify(manifests.map(withFacts))]),
    ...(unsure.length > 0 ? [sql.query(insertOtherRoles, [JSON.stringify(unsure)])] : []),
  ])
}

/** Its configuration is looked into later (image-configs/read-configs.ts): a push does not wait for that. */
function withFacts(manifest: ManifestRecord) {
  const annotations = listedAnnotations(manifest.annotations)
  return {
    ...manifest,
    annotations,
    facts: manifestFacts(manifest),
    configUnread: readableConfig(manifest) !== undefined,
  }
}
