const held = (table: string) =>
  `${table}.repository_id = $1 and ${table}.since <= $2 and (${table}.until is null or ${table}.until > $2)`

/** A time as everywhere in the API; null stays null. */
const isoTime = (column: string) => `to_char(${column} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

/** What a version holds, by type: one page of keys after `$3`, with one row more than the page, `$4`. */
export const contentQueries = {
  tag: `select tag.name as key, json_build_object('name', tag.name, 'digest', tag.digest, 'mediaType', manifest.media_type, 'sizeBytes', manifest.size_bytes, 'lastPulledAt', ${isoTime('pull.pulled_at')}) as item
    from tag_interval as tag join manifest using (digest) left join tag_pull as pull on pull.repository_id = $1 and pull.name = tag.name where ${held('tag')} and tag.name > $3 order by tag.name limit $4`,
  manifest: `select member.digest as key, json_build_object('digest', member.digest, 'mediaType', manifest.media_type, 'artifactType', manifest.artifact_type,
      'sizeBytes', manifest.size_bytes, 'subject', manifest.subject, 'annotations', manifest.annotations, 'lastPulledAt', ${isoTime('pull.pulled_at')}) as item
    from manifest_interval as member join manifest using (digest) left join manifest_pull as pull on pull.repository_id = $1 and pull.digest = member.digest where ${held('member')} and member.digest > $3 order by member.digest limit $4`,
  blob: `select member.digest as key, json_build_object('digest', member.digest, 'sizeBytes', blob.size_bytes) as item
    from blob_interval as member join blob using (digest) where ${held('member')} and member.digest > $3 order by member.digest limit $4`,
  signature: `select signature.name as key, json_build_object('name', signature.name, 'digest', signature.digest, 'type', 'atomic', 'content', signature.content) as item
    from signature_interval as signature where ${held('signature')} and signature.name > $3 order by signature.name limit $4`,
} as const
