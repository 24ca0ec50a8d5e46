import type { ManifestRecord } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { type Database, fitPage } from '@berth/service'

/** Which of these blobs are stored. */
export async function knownBlobs(db: Database, digests: readonly Digest[]): Promise<Digest[]> {
  const rows = await db.query<{ digest: Digest }>(
    `select digest from blob where digest = any($1::text[]) and state = 'present'`,
    [digests],
  )
  return rows.map((row) => row.digest)
}

// What a reference takes in the reply, types and digests at their usual length.
const referenceBytes = 400

/**
 * Of these manifests those that are known, in this order, as many as fit into a page of bytes; `rest` are those that were not
 * looked at any more.
 */
export async function knownManifests(
  db: Database,
  digests: readonly Digest[],
): Promise<{ manifests: ManifestRecord[]; rest: Digest[] }> {
  const sizes = await db.query<{ digest: Digest; listedBytes: number }>(
    `select digest,
       listed_bytes + ${referenceBytes} * (select count(*) from manifest_reference where manifest = digest)::integer as "listedBytes"
     from unnest($1::text[]) with ordinality as wanted (digest, place)
     join manifest using (digest)
     order by place`,
    [digests],
  )
  const { rows: fitting } = fitPage(sizes, { after: undefined, limit: digests.length })
  const manifests = await readManifests(
    db,
    fitting.map(({ digest }) => digest),
  )
  return { manifests, rest: sizes.slice(fitting.length).map(({ digest }) => digest) }
}

const manifestsQuery = `
  select manifest.digest, manifest.media_type as "mediaType", manifest.is_index as "isIndex",
    manifest.size_bytes as "sizeBytes", blob.generation, manifest.artifact_type as "artifactType", manifest.subject,
    manifest.annotations,
    coalesce((
      select json_agg(
        json_build_object(
          'role', role, 'digest', child, 'mediaType', media_type, 'sizeBytes', size_bytes, 'optional', optional,
          'platform', platform)
        order by place)
      from manifest_reference as reference
      where reference.manifest = manifest.digest
        and place > 0), '[]') as references,
    case when whole.digest is not null then json_build_object(
      'digest', whole.digest, 'generation', whole.generation, 'sizeBytes', whole.size_bytes) end as envelope
  from manifest
  join blob using (digest)
  left join blob as whole on whole.digest = manifest.envelope and whole.state = 'present'
  where manifest.digest = any($1::text[])
    and blob.state = 'present'
    and (manifest.envelope is null or whole.digest is not null)`

async function readManifests(db: Database, digests: readonly Digest[]): Promise<ManifestRecord[]> {
  return db.query<ManifestRecord>(manifestsQuery, [digests])
}
