import type { Digest } from '@berth/oci'
import { Problem, type Sql } from '@berth/service'
import { closureOf, companionTags } from '../curation/graph.ts'
import { type Edit, removeManifests, removeTags } from '../intervals/edit.ts'

/** What a mirror leaves as it is: tags and manifests that upstream could not give, with all that hangs on them. */
type Kept = { tags: readonly string[]; manifests: readonly Digest[] }

/**
 * Refuses a mirror that would take away more than half of the tags, unless it is forced: an empty or shrunken answer of an
 * upstream in trouble must not empty the repository (docs/guarantees.md, S12).
 */
export async function guardMirror(
  sql: Sql,
  edit: Edit,
  { stage, force }: { stage: string; force: boolean },
): Promise<void> {
  if (force) return
  const kept = await keptContent(sql, edit, stage)
  const [[{ total } = { total: 0 }], going] = await Promise.all([
    sql.query<{ total: number }>(
      'select count(*) as total from tag_interval where repository_id = $1 and until is null',
      [edit.repositoryId],
    ),
    unmirroredTags(sql, edit, stage, kept),
  ])
  if (going.length * 2 <= total) return
  const names = `${going.slice(0, 10).join(', ')}${going.length > 10 ? ', and more' : ''}`
  throw new Problem(
    409,
    'mirror_guard',
    `The mirror would take away ${going.length} of ${total} tags: ${names}. Nothing was changed.`,
    {
      hint: 'If upstream really has no more than that, sync again with force.',
      more: { removed: going.length, of: total },
    },
  )
}

/** Takes away what is not staged, so that the repository is exactly what upstream has. Comes after what is staged was put in. */
export async function dropUnmirrored(sql: Sql, edit: Edit, stage: string): Promise<void> {
  const kept = await keptContent(sql, edit, stage)
  await removeTags(sql, edit, await unmirroredTags(sql, edit, stage, kept))
  await removeManifests(sql, edit, await unmirrored(sql, edit, stage, kept))
}

async function keptContent(sql: Sql, edit: Edit, stage: string): Promise<Kept> {
  const rows = await sql.query<{ digest: Digest }>(
    `select tag.digest
     from stage_tag as staged
     join tag_interval as tag on tag.name = staged.name
     where staged.stage = $1
       and staged.digest is null
       and tag.repository_id = $2
       and tag.until is null
     union
     select member.digest
     from stage_tag as staged
     join manifest_interval as member on member.digest = staged.name
     where staged.stage = $1
       and staged.digest is null
       and member.repository_id = $2
       and member.until is null`,
    [stage, edit.repositoryId],
  )
  const source = { repositoryId: edit.repositoryId, bound: edit.number, name: '' }
  const roots = rows.map((row) => row.digest)
  const manifests = await closureOf(sql, source, roots, { companions: true })
  const companions = await companionTags(sql, source, manifests)
  return { manifests, tags: companions.map((tag) => tag.name) }
}

async function unmirroredTags(sql: Sql, edit: Edit, stage: string, kept: Kept): Promise<string[]> {
  const rows = await sql.query<{ name: string }>(
    `select name
     from tag_interval as tag
     where repository_id = $1
       and until is null
       and not exists (select from stage_tag where stage = $2 and stage_tag.name = tag.name)
       and name <> all($3::text[])
     order by name`,
    [edit.repositoryId, stage, kept.tags],
  )
  return rows.map((row) => row.name)
}

const unmirroredQuery = `
  with recursive wanted (digest) as (
    select digest
    from stage_manifest
    where stage = $2
    union
    select digest
    from stage_tag
    where stage = $2
      and digest is not null
    union
    select unnest($3::text[])
    union
    select reference.child
    from wanted
    join manifest_reference as reference on reference.manifest = wanted.digest
      and reference.role = 'manifest'
      and not exists (
        select
        from stage_omission as omission
        where omission.stage = $2
          and omission.manifest = reference.manifest
          and omission.child = reference.child))
  select digest
  from manifest_interval as member
  where repository_id = $1
    and until is null
    and not exists (select from wanted where wanted.digest = member.digest)`

/** Manifests of the repository that nothing staged reaches. */
async function unmirrored(sql: Sql, edit: Edit, stage: string, kept: Kept): Promise<Digest[]> {
  const rows = await sql.query<{ digest: Digest }>(unmirroredQuery, [edit.repositoryId, stage, kept.manifests])
  return rows.map((row) => row.digest)
}
