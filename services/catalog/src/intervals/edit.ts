import type { Digest } from '@berth/oci'
import type { Sql } from '@berth/service'
import { endOfRevisions, type LockedRepository } from './locked-repository.ts'

/** The version being made of a locked repository: its number, and the revision that its rows carry. */
export type Edit = { repositoryId: string; number: number; revision: number }

/** Begins the next version. Nothing is visible until `finishVersion`, and nothing at all remains if the edits change nothing. */
export function beginEdit(repository: LockedRepository): Edit {
  return { repositoryId: repository.id, number: repository.latestVersion + 1, revision: repository.revision + 1 }
}

/** Points tags at manifests; a tag that points there already keeps its interval. */
export async function setTags(sql: Sql, edit: Edit, tags: readonly { name: string; digest: Digest }[]): Promise<void> {
  if (tags.length === 0) return
  const values = [
    edit.repositoryId,
    edit.number,
    edit.revision,
    tags.map((tag) => tag.name),
    tags.map((tag) => tag.digest),
  ]
  await Promise.all([
    sql.prepared(
      'close-moved-tags',
      `update tag_interval as tag
       set until = $2, revision = $3
       from unnest($4::text[], $5::text[]) as wanted (name, digest)
       where tag.repository_id = $1
         and tag.name = wanted.name
         and tag.until is null
         and tag.digest <> wanted.digest`,
      values,
    ),
    sql.prepared(
      'open-tags',
      `insert into tag_interval (repository_id, name, since, digest, revision)
       select $1, wanted.name, $2, wanted.digest, $3
       from unnest($4::text[], $5::text[]) as wanted (name, digest)
       where not exists (select from tag_interval as tag where tag.repository_id = $1 and tag.name = wanted.name and tag.until is null)
       on conflict (repository_id, name, since) do update set digest = excluded.digest, until = null, revision = excluded.revision`,
      values,
    ),
  ])
}

/** Takes tags away; names that are no tags are ignored. */
export async function removeTags(sql: Sql, edit: Edit, names: readonly string[]): Promise<void> {
  if (names.length === 0) return
  await sql.query(
    `update tag_interval set until = $2, revision = $3 where repository_id = $1 and name = any($4::text[]) and until is null`,
    [edit.repositoryId, edit.number, edit.revision, names],
  )
}

/**
 * Puts manifests in (these and no others) with the blobs they name. What may lie elsewhere (a foreign layer) comes only when the
 * repository has it already: naming a digest gives nobody a right to its bytes.
 */
export async function addManifests(sql: Sql, edit: Edit, digests: readonly Digest[]): Promise<void> {
  if (digests.length === 0) return
  await sql.prepared('add-manifests', addQuery, [edit.repositoryId, edit.number, edit.revision, digests])
}

// Whether a blob is here is looked up for each by itself. As a join it may be planned, before there are statistics of what a
// sync has just brought, as every manifest beside every blob: a second for a thousand tags, and the square of that for more.
const addQuery = `
  with present as (select manifest.digest from unnest($4::text[]) as wanted (digest) join manifest using (digest)),
  added as (
    insert into manifest_interval (repository_id, digest, since, revision)
    select $1, digest, $2, $3
    from present
    where not exists (
      select
      from manifest_interval as open
      where open.repository_id = $1
        and open.digest = present.digest
        and open.until is null)
    on conflict (repository_id, digest, since) do update set until = null, revision = excluded.revision),
  named as materialized (
    select child as digest, bool_and(optional) as optional
    from manifest_reference
    where manifest = any($4::text[])
      and role in ('config', 'layer')
    group by child)
  insert into blob_interval (repository_id, digest, since, revision)
  select $1::uuid, digest, $2::integer, $3::bigint
  from named
  where (select state from blob where blob.digest = named.digest) in ('present', 'remote')
    and not exists (
      select
      from blob_interval as open
      where open.repository_id = $1
        and open.digest = named.digest
        and open.until is null)
    and (
      not optional
      or exists (select from blob_link as link where link.repository_id = $1 and link.digest = named.digest and link.linked))
  on conflict (repository_id, digest, since) do update set until = null, revision = excluded.revision`

/** Takes manifests out (these and no others) with their signatures, and the blobs that no manifest left names. */
export async function removeManifests(sql: Sql, edit: Edit, digests: readonly Digest[]): Promise<void> {
  if (digests.length === 0) return
  const values = [edit.repositoryId, edit.number, edit.revision, digests]
  for (const table of ['manifest_interval', 'signature_interval'])
    await sql.query(
      `update ${table} set until = $2, revision = $3 where repository_id = $1 and digest = any($4::text[]) and until is null`,
      values,
    )
  await sql.query(
    `update blob_interval as blob
     set until = $2, revision = $3
     from manifest_reference as gone
     where gone.manifest = any($4::text[])
       and gone.role in ('config', 'layer')
       and blob.repository_id = $1
       and blob.digest = gone.child
       and blob.until is null
       and not exists (
         select
         from manifest_reference as kept
         join manifest_interval as member on member.digest = kept.manifest and member.repository_id = $1 and member.until is null
         where kept.child = blob.digest
           and kept.role in ('config', 'layer'))`,
    values,
  )
}

/** Puts a signature of a manifest in; one of this name must not be there. */
export async function addSignature(
  sql: Sql,
  edit: Edit,
  { name, digest, content }: { name: string; digest: Digest; content: string },
): Promise<void> {
  await sql.query(
    `insert into signature_interval (repository_id, name, since, digest, content, revision) values ($1, $2, $3, $4, $5, $6)
     on conflict (repository_id, name, since) do update
       set until = null, digest = excluded.digest, content = excluded.content, revision = excluded.revision`,
    [edit.repositoryId, name, edit.number, digest, content, edit.revision],
  )
}

/** What a version holds, by type: the table, and its columns, the first of which is the key. */
export const intervalTables = [
  { table: 'tag_interval', columns: ['name', 'digest'] },
  { table: 'manifest_interval', columns: ['digest'] },
  { table: 'blob_interval', columns: ['digest'] },
  { table: 'signature_interval', columns: ['name', 'digest', 'content'] },
] as const

/**
 * Makes the content what it was in version `target`: closes what is not in it, opens again what is. Nothing may be loose, so
 * that a row which begins here already is one that was over at once.
 */
export async function restoreVersion(
  sql: Sql,
  edit: Edit,
  target: { number: number; revision: number },
): Promise<void> {
  const values = [edit.repositoryId, edit.number, edit.revision, target.number, target.revision, endOfRevisions]
  // What was opened or closed since carries a higher revision; of all the rest nothing has to be compared.
  const isLater = (row: string) => `${row}.revision > $5 and ${row}.revision <= $6`
  const inTarget = `old.repository_id = $1 and old.since <= $4 and (old.until is null or old.until > $4)`
  for (const { table, columns } of intervalTables) {
    const [key, ...others] = columns
    const same = columns.map((column) => `open.${column} = old.${column}`).join(' and ')
    await sql.query(
      `update ${table} as open
       set until = $2, revision = $3
       where open.repository_id = $1
         and open.until is null
         and ${isLater('open')}
         and not exists (select from ${table} as old where ${inTarget} and ${same})`,
      values,
    )
    const [inTheWay] = await sql.query(
      `select
       from ${table}
       where repository_id = $1
         and since = $2
         and until <= since
       limit 1`,
      [edit.repositoryId, edit.number],
    )
    // Ready for a conflict, PostgreSQL looks each row up first and writes it in two steps: a third of the time of very many.
    const orOpenAgain = `on conflict (repository_id, ${key}, since) do update
         set until = null, revision = excluded.revision${others.map((column) => `, ${column} = excluded.${column}`).join('')}`
    await sql.query(
      `insert into ${table} (repository_id, since, revision, ${columns.join(', ')})
       select $1, $2, $3, ${columns.map((column) => `old.${column}`).join(', ')}
       from ${table} as old
       where ${inTarget}
         and ${isLater('old')}
         and not exists (select from ${table} as open where open.repository_id = $1 and open.until is null and ${same})
       ${inTheWay ? orOpenAgain : ''}`,
      values,
    )
  }
}
