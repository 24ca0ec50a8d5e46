import type { Digest } from '@berth/oci'
import type { Sql } from '@berth/service'
import { intervalTables } from './tables.ts'
import { closeRows, type Edit, openQuery, openRows } from './write-rows.ts'

export type { Edit } from './write-rows.ts'

/** A manifest among the members of a version, as SQL. The type counts too, where the bytes leave it open: under another one the same is
 * another content. */
export const manifestMember = `case pushed_type when '' then digest else digest || '=' || pushed_type end`

/** Begins the next version. Nothing is visible until `finishVersion`, and nothing at all remains if the edits change nothing. */
export function beginEdit(repository: { id: string; latestVersion: number; revision: number }): Edit {
  return { repositoryId: repository.id, number: repository.latestVersion + 1, revision: repository.revision + 1 }
}

/** Points tags at manifests; a tag that points there already keeps its interval. */
export async function setTags(sql: Sql, edit: Edit, tags: readonly { name: string; digest: Digest }[]): Promise<void> {
  if (tags.length === 0) return
  const values = [tags.map((tag) => tag.name), tags.map((tag) => tag.digest)]
  await Promise.all([
    closeRows(sql, edit, 'tag_interval', {
      name: 'close-moved-tags',
      using: 'unnest($4::text[], $5::text[]) as wanted (name, digest)',
      where: 'open.name = wanted.name and open.digest <> wanted.digest',
      values,
    }),
    openRows(sql, edit, 'tag_interval', {
      name: 'open-tags',
      wanted: 'select name, digest from unnest($4::text[], $5::text[]) as tag (name, digest)',
      values,
    }),
  ])
}

/** Takes tags away; names that are no tags are ignored. */
export async function removeTags(sql: Sql, edit: Edit, names: readonly string[]): Promise<void> {
  if (names.length === 0) return
  await closeRows(sql, edit, 'tag_interval', { where: 'open.name = any($4::text[])', values: [names] })
}

/**
 * Puts manifests in (these and no others) with the blobs they name. What may lie elsewhere (a foreign layer) comes only when the
 * repository has it already: naming a digest gives nobody a right to its bytes. `pushedType` is the type that their client said;
 * empty, where that is what their bytes say. One that is here keeps the type that it has here.
 */
export async function addManifests(
  sql: Sql,
  edit: Edit,
  digests: readonly Digest[],
  pushedType: string = '',
): Promise<void> {
  if (digests.length === 0) return
  await sql.prepared('add-manifests', addQuery, [edit.repositoryId, edit.number, edit.revision, digests, pushedType])
}

const presentManifests = `
  select manifest.digest, $5::text as pushed_type
  from unnest($4::text[]) as named (digest)
  join manifest using (digest)`

// Whether a blob is here is looked up for each by itself. As a join it may be planned, before there are statistics of what a
// sync has just brought, as every manifest beside every blob: a second for a thousand tags, and the square of that for more.
const presentBlobs = `
  select digest
  from named
  where (select state from blob where blob.digest = named.digest) in ('present', 'remote')
    and (
      not optional
      or exists (select from blob_link as link where link.repository_id = $1 and link.digest = named.digest and link.linked))`

const addParts = `
  named as materialized (
    select child as digest, bool_and(optional) as optional
    from manifest_reference
    where manifest = any($4::text[])
      and role in ('config', 'layer')
    group by child)`

const addQuery = `
  with added as (${openQuery('manifest_interval', presentManifests)}),
  ${addParts}
  ${openQuery('blob_interval', presentBlobs)}`

const pushQuery = `
  with added as (
    ${openQuery('manifest_interval', presentManifests)}
    returning digest, pushed_type),
  ${addParts},
  brought as (
    ${openQuery('blob_interval', presentBlobs)}
    returning digest),
  moved as (
    update tag_interval as open
    set until = $2, revision = $3
    from unnest($6::text[]) as wanted (name)
    where open.repository_id = $1
      and open.until is null
      and open.name = wanted.name
      and open.digest <> $4[1]
    returning open.name, open.digest)
  select
    (select coalesce(jsonb_agg(${manifestMember}), '[]') from added) as manifests,
    (select coalesce(jsonb_agg(digest), '[]') from brought) as blobs,
    (select coalesce(jsonb_object_agg(name, digest), '{}') from moved) as "movedFrom"`

/** What a push of one manifest has opened: the manifest and blobs that were not there, and tags with what they stood for before. */
export type Pushed = { manifests: string[]; blobs: string[]; tags: { tag: string; from?: string; to: string }[] }

/** As `addManifests` and `setTags` for one manifest and its tags; answers what that changed. */
export async function pushManifest(
  sql: Sql,
  edit: Edit,
  { digest, pushedType = '', tags }: { digest: Digest; pushedType?: string | undefined; tags: readonly string[] },
): Promise<Pushed> {
  const own = [edit.repositoryId, edit.number, edit.revision]
  const [[row], opened] = await Promise.all([
    sql.prepared<Omit<Pushed, 'tags'> & { movedFrom: Record<string, string> }>('push-manifest', pushQuery, [
      ...own,
      [digest],
      pushedType,
      tags,
    ]),
    sql.prepared<{ name: string }>('push-tags', `${openQuery('tag_interval', pushedTags)} returning name`, [
      ...own,
      tags,
      digest,
    ]),
  ])
  const { manifests = [], blobs = [], movedFrom = {} } = row ?? {}
  const names = opened.map(({ name }) => name).sort()
  const changed = names.map((tag) => ({
    tag,
    ...(tag in movedFrom ? { from: movedFrom[tag] } : {}),
    to: digest,
  }))
  return { manifests, blobs, tags: changed }
}

const pushedTags = 'select name, $5::text as digest from unnest($4::text[]) as tag (name)'

/** Takes manifests out (these and no others) with their signatures, and the blobs that no manifest left names. */
export async function removeManifests(sql: Sql, edit: Edit, digests: readonly Digest[]): Promise<void> {
  if (digests.length === 0) return
  const values = [digests]
  for (const table of ['manifest_interval', 'signature_interval'] as const)
    await closeRows(sql, edit, table, { where: 'open.digest = any($4::text[])', values })
  await closeRows(sql, edit, 'blob_interval', { using: 'manifest_reference as gone', where: isNamedNoMore, values })
}

const isNamedNoMore = `gone.manifest = any($4::text[])
  and gone.role in ('config', 'layer')
  and open.digest = gone.child
  and not exists (
    select
    from manifest_reference as kept
    join manifest_interval as member on member.digest = kept.manifest and member.repository_id = $1 and member.until is null
    where kept.child = open.digest
      and kept.role in ('config', 'layer'))`

/** Puts a signature of a manifest in; where one of this name is, that stays. */
export async function addSignature(
  sql: Sql,
  edit: Edit,
  { name, digest, content }: { name: string; digest: Digest; content: string },
): Promise<void> {
  const wanted = 'select $4::text as name, $5::text as digest, $6::text as content'
  await openRows(sql, edit, 'signature_interval', { wanted, values: [name, digest, content] })
}

/** Takes everything out. */
export async function removeAll(sql: Sql, edit: Edit): Promise<void> {
  for (const { table } of intervalTables) await closeRows(sql, edit, table, { where: 'true', values: [] })
}
