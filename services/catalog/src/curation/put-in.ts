import type { Digest } from '@berth/oci'
import { Problem, type Sql } from '@berth/service'
import { type Edit, setTags } from '../intervals/edit.ts'
import { heldIn } from '../intervals/held.ts'
import { openRows } from '../intervals/write-rows.ts'
import { closureOf, companionTags } from './graph.ts'
import type { Source } from './source.ts'

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

/**
 * The blobs that manifests of a source name and it has; the parameters from `$first` on are its id, its bound and the
 * manifests.
 */
const blobsOfManifests = (first: number) => `
  select distinct reference.child as digest
  from unnest($${first + 2}::text[]) as named (digest)
  join manifest_reference as reference on reference.manifest = named.digest and reference.role in ('config', 'layer')
  join blob_interval as member on ${heldIn('member', `$${first}::uuid`, `$${first + 1}::integer`)}
    and member.digest = reference.child`

/**
 * Holds the rows of all bytes that come in until the transaction ends, so that the collector cannot take them meanwhile;
 * refuses when it has already begun to. The source had them when it was read, so that is a moment's matter.
 */
async function holdContent(sql: Sql, source: Source, manifests: readonly Digest[]): Promise<void> {
  const values = [source.repositoryId, source.bound, manifests]
  await sql.query(
    `select
     from blob
     where digest in (${blobsOfManifests(1)} union select unnest($3::text[]))
     order by digest
     for share`,
    values,
  )
  const gone = await sql.query<{ digest: string }>(
    `select wanted.digest
     from (${blobsOfManifests(1)} union select unnest($3::text[])) as wanted
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
  const values = [source.repositoryId, source.bound, manifests]
  await openRows(sql, edit, 'manifest_interval', { wanted: typesOfManifests, values })
  await openRows(sql, edit, 'blob_interval', { wanted: blobsOfManifests(4), values })
}

const typesOfManifests = `
  select distinct named.digest, coalesce(member.pushed_type, '') as pushed_type
  from unnest($6::text[]) as named (digest)
  left join manifest_interval as member on ${heldIn('member', '$4', '$5')} and member.digest = named.digest`

const signaturesOfManifests = `
  select signature.name, signature.digest, signature.content
  from signature_interval as signature
  where ${heldIn('signature', '$4', '$5')}
    and signature.digest = any($6::text[])`

/** Atomic signatures of what came in; a name that is given already keeps what it has. */
async function openSignatures(sql: Sql, edit: Edit, source: Source, manifests: readonly Digest[]): Promise<void> {
  const values = [source.repositoryId, source.bound, manifests]
  await openRows(sql, edit, 'signature_interval', { wanted: signaturesOfManifests, values })
}
