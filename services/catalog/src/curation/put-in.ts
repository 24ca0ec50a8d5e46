import type { Digest } from '@berth/oci'
import { Problem, type Sql } from '@berth/service'
import { type Edit, setTags } from '../versions/edit.ts'
import { closureOf, companionTags } from './graph.ts'
import { holdsIn, type Source } from './source.ts'

export type Wanted = { manifests: readonly Digest[]; tags: readonly { name: string; digest: Digest }[] }
export type PutOptions = {
  /** Whether signatures and referrers come along. */
  companions: boolean
}

/** Puts manifests and tags of a source in, with everything they reference and, unless unwanted, what refers to them. */
export async function putIn(sql: Sql, edit: Edit, source: Source, wanted: Wanted, options: PutOptions): Promise<void> {
  const roots = [...new Set([...wanted.manifests, ...wanted.tags.map((tag) => tag.digest)])]
  const manifests = await closureOf(sql, source, roots, options)
  const companions = options.companions ? await companionTags(sql, source, manifests) : []
  await holdContent(sql, source, manifests)
  await openIntervals(sql, edit, source, manifests)
  if (options.companions) await openSignatures(sql, edit, source, manifests)
  const tags = new Map([...companions, ...wanted.tags].map((tag) => [tag.name, tag]))
  await setTags(sql, edit, [...tags.values()])
}

/** All of a source: no closure has to be looked for. */
export async function putAllIn(sql: Sql, edit: Edit, source: Source, wanted: Wanted): Promise<void> {
  await holdContent(sql, source, wanted.manifests)
  await openIntervals(sql, edit, source, wanted.manifests)
  await openSignatures(sql, edit, source, wanted.manifests)
  await setTags(sql, edit, wanted.tags)
}

const blobsOfManifests = `
  select reference.child as digest
  from unnest($3::text[]) as wanted (digest)
  join manifest_reference as reference on reference.manifest = wanted.digest and reference.role in ('config', 'layer')
  join blob_interval as member on ${holdsIn('member', '$1', '$2')} and member.digest = reference.child`

/**
 * Holds the rows of all bytes that come in until the transaction ends, so that the collector cannot take them meanwhile;
 * refuses when it has already begun to. The source had them when it was read, so that is a moment's matter.
 */
async function holdContent(sql: Sql, source: Source, manifests: readonly Digest[]): Promise<void> {
  const values = [source.repositoryId, source.bound, manifests]
  await sql.query(
    `select
     from blob
     where digest in (${blobsOfManifests} union select unnest($3::text[]))
     order by digest
     for share`,
    values,
  )
  const gone = await sql.query<{ digest: string }>(
    `select wanted.digest
     from (${blobsOfManifests} union select unnest($3::text[])) as wanted
     where not exists (select from blob where blob.digest = wanted.digest and state in ('present', 'remote'))
     limit 10`,
    values,
  )
  if (gone.length === 0) return
  const missing = gone.map((row) => row.digest)
  throw new Problem(
    409,
    'content_going',
    `${source.name} no longer has ${missing.join(', ')}: it is being collected.`,
    {
      hint: 'The version it was in was deleted meanwhile; choose another source.',
      more: { missing },
    },
  )
}

async function openIntervals(sql: Sql, edit: Edit, source: Source, manifests: readonly Digest[]): Promise<void> {
  const values = [source.repositoryId, source.bound, manifests, edit.repositoryId, edit.number, edit.revision]
  const open = (table: string, digests: string) => `
    insert into ${table} (repository_id, digest, since, revision)
    select distinct $4::uuid, wanted.digest, $5::integer, $6::bigint
    from (${digests}) as wanted
    where not exists (
      select
      from ${table} as open
      where open.repository_id = $4
        and open.digest = wanted.digest
        and open.until is null)
    on conflict (repository_id, digest, since) do update set until = null, revision = excluded.revision`
  // The first two parameters stay named, for PostgreSQL must know their types.
  await sql.query(
    open(
      'manifest_interval',
      'select unnest($3::text[]) as digest where $1::uuid is not null and $2::integer is not null',
    ),
    values,
  )
  await sql.query(open('blob_interval', blobsOfManifests), values)
}

const copySignatures = `
  insert into signature_interval (repository_id, name, digest, content, since, revision)
  select $4, signature.name, signature.digest, signature.content, $5, $6
  from signature_interval as signature
  where ${holdsIn('signature', '$1', '$2')}
    and signature.digest = any($3::text[])
    and not exists (
      select
      from signature_interval as open
      where open.repository_id = $4
        and open.name = signature.name
        and open.until is null)
  on conflict (repository_id, name, since) do update set
    until = null,
    digest = excluded.digest,
    content = excluded.content,
    revision = excluded.revision`

/** Atomic signatures of what came in; a name that is given already keeps what it has. */
async function openSignatures(sql: Sql, edit: Edit, source: Source, manifests: readonly Digest[]): Promise<void> {
  await sql.query(copySignatures, [
    source.repositoryId,
    source.bound,
    manifests,
    edit.repositoryId,
    edit.number,
    edit.revision,
  ])
}
