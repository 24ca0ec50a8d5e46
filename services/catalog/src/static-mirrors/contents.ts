import type { Digest } from '@berth/oci'
import type { Sql } from '@berth/service'
import { heldIn } from '../intervals/held.ts'
import { typeOf } from '../intervals/tables.ts'

/** A repository of a mirror, and which version of it. */
export type Selected = { id: string; name: string; number: number }

export type MirroredManifest = { digest: Digest; mediaType: string; sizeBytes: number; envelope: Digest | null }
export type MirroredBlob = { digest: Digest; sizeBytes: number }
export type MirroredTag = { name: string; digest: Digest; mediaType: string }
export type MirroredReferrer = {
  subject: Digest
  digest: Digest
  mediaType: string
  sizeBytes: number
  artifactType: string | null
  annotations: Record<string, string>
}

const pageRows = 500

const manifests = `
  select member.digest, ${typeOf('member')} as "mediaType", envelope, size_bytes as "sizeBytes"
  from manifest_interval as member
  join manifest using (digest)
  where ${heldIn('member', '$1', '$2')}
    and member.digest > $3
  order by member.digest
  limit ${pageRows}`

/** The size of what was lost is known to the manifests that name it. */
const blobs = `
  select member.digest,
    coalesce(blob.size_bytes, (
      select size_bytes
      from manifest_reference
      where child = blob.digest
      limit 1), 0) as "sizeBytes"
  from blob_interval as member
  join blob using (digest)
  where ${heldIn('member', '$1', '$2')}
    and member.digest > $3
  order by member.digest
  limit ${pageRows}`

const tags = `
  select tag.name, tag.digest, ${typeOf('member')} as "mediaType"
  from tag_interval as tag
  join manifest using (digest)
  join manifest_interval as member on ${heldIn('member', '$1', '$2')}
    and member.digest = tag.digest
  where ${heldIn('tag', '$1', '$2')}
    and tag.name > $3
  order by tag.name
  limit ${pageRows}`

const referrers = `
  select subject, member.digest, ${typeOf('member')} as "mediaType", size_bytes as "sizeBytes",
    artifact_type as "artifactType", annotations
  from manifest_interval as member
  join manifest using (digest)
  where ${heldIn('member', '$1', '$2')}
    and (subject, member.digest) > ($3, $4)
  order by subject, member.digest
  limit ${pageRows}`

export const manifestsOf = (sql: Sql, of: Selected) =>
  pages<MirroredManifest>(sql, manifests, of, ({ digest }) => [digest], [''])
export const blobsOf = (sql: Sql, of: Selected) => pages<MirroredBlob>(sql, blobs, of, ({ digest }) => [digest], [''])
export const tagsOf = (sql: Sql, of: Selected) => pages<MirroredTag>(sql, tags, of, ({ name }) => [name], [''])
/** In the order of their subjects, so that those of one come one after the other. */
export const referrersOf = (sql: Sql, of: Selected) =>
  pages<MirroredReferrer>(sql, referrers, of, ({ subject, digest }) => [subject, digest], ['', ''])

async function* pages<Row extends object>(
  sql: Sql,
  query: string,
  { id, number }: Selected,
  keyOf: (row: Row) => string[],
  first: string[],
): AsyncGenerator<Row[]> {
  for (let after = first; ; ) {
    const rows = await sql.query<Row>(query, [id, number, ...after])
    if (rows.length > 0) yield rows
    const last = rows.at(-1)
    if (!last || rows.length < pageRows) return
    after = keyOf(last)
  }
}

/** Of some digests those that a version has a manifest of this type of. */
export async function stillManifests(
  sql: Sql,
  { id, number }: Selected,
  given: readonly { digest: Digest; mediaType: string }[],
): Promise<Set<string>> {
  const rows = await sql.query<{ digest: Digest; mediaType: string }>(
    `select member.digest, ${typeOf('member')} as "mediaType"
     from manifest_interval as member
     join manifest using (digest)
     where ${heldIn('member', '$1', '$2')}
       and member.digest = any($3::text[])`,
    [id, number, given.map(({ digest }) => digest)],
  )
  return new Set(rows.map(({ digest, mediaType }) => `${digest} ${mediaType}`))
}

/** Of some names those that are tags of a version for manifests of this type. */
export async function stillTags(sql: Sql, { id, number }: Selected, names: readonly string[]): Promise<Set<string>> {
  const rows = await sql.query<{ name: string; mediaType: string }>(
    `select tag.name, ${typeOf('member')} as "mediaType"
     from tag_interval as tag
     join manifest using (digest)
     join manifest_interval as member on ${heldIn('member', '$1', '$2')}
       and member.digest = tag.digest
     where ${heldIn('tag', '$1', '$2')}
       and tag.name = any($3::text[])`,
    [id, number, names],
  )
  return new Set(rows.map(({ name, mediaType }) => `${name} ${mediaType}`))
}

/** Of some digests those that something in a version refers to. */
export async function stillSubjects(
  sql: Sql,
  { id, number }: Selected,
  digests: readonly Digest[],
): Promise<Set<string>> {
  const rows = await sql.query<{ subject: string }>(
    `select distinct subject
     from manifest_interval as member
     join manifest using (digest)
     where ${heldIn('member', '$1', '$2')}
       and subject = any($3::text[])`,
    [id, number, digests],
  )
  return new Set(rows.map(({ subject }) => subject))
}

/** Of some digests those that are blobs of any of these versions. */
export async function stillBlobs(
  sql: Sql,
  selected: readonly Selected[],
  digests: readonly Digest[],
): Promise<Set<string>> {
  const rows = await sql.query<{ digest: string }>(
    `select distinct member.digest
     from unnest($1::uuid[], $2::integer[]) as selected (id, number)
     join blob_interval as member on ${heldIn('member', 'selected.id', 'selected.number')}
     where member.digest = any($3::text[])`,
    [selected.map(({ id }) => id), selected.map(({ number }) => number), digests],
  )
  return new Set(rows.map(({ digest }) => digest))
}
