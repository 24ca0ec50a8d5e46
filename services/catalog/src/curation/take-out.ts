import type { Digest } from '@berth/oci'
import { Problem, type Sql } from '@berth/service'
import { type Edit, removeManifests, removeTags } from '../intervals/edit.ts'
import { heldIn } from '../intervals/held.ts'
import { edges } from './graph.ts'
import { missingContent } from './source.ts'

export type Unwanted = { manifests: readonly Digest[]; tags: readonly string[] }
type Named = { explicit: Digest[]; tags: string[]; tagged: Digest[] }

/**
 * Takes tags and manifests out with all that hangs on them, except what a tag or an index that stays still needs. A manifest
 * that is named itself and held by something that stays is refused with its holders; `force` takes the holders too.
 */
export async function takeOut(sql: Sql, edit: Edit, unwanted: Unwanted, { force }: { force: boolean }): Promise<void> {
  const named = await findNamed(sql, edit, unwanted)
  const { explicit, tags } = force ? await withHolders(sql, edit, named) : named
  const roots = [...new Set([...explicit, ...named.tagged])]
  const hanging = await hangingOn(sql, edit, roots)
  const kept = new Set(await keptOf(sql, edit, { hanging, explicit, tags }))
  await refuseHeld(sql, edit, { held: explicit.filter((digest) => kept.has(digest)), going: hanging, kept, tags })
  const going = hanging.filter((digest) => !kept.has(digest))
  await removeTags(sql, edit, [...tags, ...(await tagsOn(sql, edit, going))])
  await removeManifests(sql, edit, going)
}

async function findNamed(sql: Sql, edit: Edit, unwanted: Unwanted): Promise<Named> {
  const tags = await sql.query<{ name: string; digest: Digest }>(
    'select name, digest from tag_interval where repository_id = $1 and until is null and name = any($2::text[])',
    [edit.repositoryId, unwanted.tags],
  )
  const manifests = await sql.query<{ digest: Digest }>(
    'select digest from manifest_interval where repository_id = $1 and until is null and digest = any($2::text[])',
    [edit.repositoryId, unwanted.manifests],
  )
  const known = new Set<string>([...tags.map((tag) => tag.name), ...manifests.map((manifest) => manifest.digest)])
  const missing = [...unwanted.tags, ...unwanted.manifests].filter((name) => !known.has(name))
  if (missing.length > 0) throw missingContent(missing, 'The repository')
  return {
    explicit: manifests.map((manifest) => manifest.digest),
    tags: tags.map((tag) => tag.name),
    tagged: tags.map((tag) => tag.digest),
  }
}

/** The indexes above what is named, at any height, and the tags on all of them. */
async function withHolders(sql: Sql, edit: Edit, named: Named): Promise<{ explicit: Digest[]; tags: string[] }> {
  const values = [edit.repositoryId, edit.number, named.explicit]
  const above = await sql.query<{ digest: Digest }>(
    `with recursive above (digest) as (
       select unnest($3::text[])
       union
       select reference.manifest
       from above
       join manifest_reference as reference on reference.child = above.digest and reference.role = 'manifest'
       join manifest_interval as member on ${heldIn('member', '$1', '$2')} and member.digest = reference.manifest)
     select digest
     from above`,
    values,
  )
  const explicit = above.map((row) => row.digest)
  const tags = await sql.query<{ name: string }>(
    'select name from tag_interval where repository_id = $1 and until is null and digest = any($2::text[])',
    [edit.repositoryId, explicit],
  )
  return { explicit, tags: [...new Set([...named.tags, ...tags.map((tag) => tag.name)])] }
}

async function hangingOn(sql: Sql, edit: Edit, roots: readonly Digest[]): Promise<Digest[]> {
  const rows = await sql.query<{ digest: Digest }>(
    `with recursive hanging (digest) as (
       select unnest($3::text[])
       union
       select edge.digest
       from hanging
       cross join ${edges('hanging')})
     select digest
     from hanging`,
    [edit.repositoryId, edit.number, roots],
  )
  return rows.map((row) => row.digest)
}

const keptQuery = `
  with recursive going as materialized (select unnest($3::text[]) as digest),
  held as (
    select tag.digest
    from tag_interval as tag
    join going using (digest)
    where ${heldIn('tag', '$1', '$2')}
      and tag.name <> all($5::text[])
      and not exists (select from going as owner where split_part(tag.name, '.', 1) = replace(owner.digest, ':', '-'))
    union
    select going.digest
    from going
    join manifest_reference as reference on reference.child = going.digest and reference.role = 'manifest'
    join manifest_interval as member on ${heldIn('member', '$1', '$2')} and member.digest = reference.manifest
    where not exists (select from going as other where other.digest = reference.manifest)),
  kept (digest) as (
    select digest
    from held
    union
    select edge.digest
    from kept
    cross join ${edges('kept')}
    where edge.digest in (select digest from going)
      and (edge.is_child or edge.digest <> all($4::text[])))
  select digest
  from kept`

/**
 * What of the hanging must stay: what a staying tag or index holds, and what hangs on that in turn. A companion tag holds
 * nothing when what it belongs to goes. What was named itself does not stay because it refers to something that does.
 */
async function keptOf(
  sql: Sql,
  edit: Edit,
  given: { hanging: readonly Digest[]; explicit: readonly Digest[]; tags: readonly string[] },
): Promise<Digest[]> {
  const rows = await sql.query<{ digest: Digest }>(keptQuery, [
    edit.repositoryId,
    edit.number,
    given.hanging,
    given.explicit,
    given.tags,
  ])
  return rows.map((row) => row.digest)
}

async function refuseHeld(
  sql: Sql,
  edit: Edit,
  given: { held: readonly Digest[]; going: readonly Digest[]; kept: ReadonlySet<Digest>; tags: readonly string[] },
): Promise<void> {
  if (given.held.length === 0) return
  const leaving = given.going.filter((digest) => !given.kept.has(digest))
  const holders = await sql.query<{ digest: string; holder: string }>(
    `select digest, name as holder
     from tag_interval as tag
     where ${heldIn('tag', '$1', '$2')}
       and digest = any($3::text[])
       and name <> all($5::text[])
     union
     select reference.child, reference.manifest
     from manifest_reference as reference
     join manifest_interval as member on ${heldIn('member', '$1', '$2')} and member.digest = reference.manifest
     where reference.role = 'manifest'
       and reference.child = any($3::text[])
       and reference.manifest <> all($4::text[])
     order by 1, 2
     limit 100`,
    [edit.repositoryId, edit.number, given.held, leaving, given.tags],
  )
  const names = [...new Set(holders.map((row) => row.holder))]
  throw new Problem(409, 'manifest_held', `${given.held.join(', ')} is held by ${names.join(', ')}.`, {
    hint: 'Remove the holders too, or use force to have them removed.',
    more: { holders: names },
  })
}

/** Tags on manifests that go, and companion tags of those, wherever they point. */
async function tagsOn(sql: Sql, edit: Edit, going: readonly Digest[]): Promise<string[]> {
  const rows = await sql.query<{ name: string }>(
    `select name from tag_interval as tag where ${heldIn('tag', '$1', '$2')} and (digest = any($3::text[])
       or split_part(name, '.', 1) in (select replace(digest, ':', '-') from unnest($3::text[]) as digest))`,
    [edit.repositoryId, edit.number, going],
  )
  return rows.map((row) => row.name)
}
