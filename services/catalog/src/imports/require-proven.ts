import type { Digest } from '@berth/oci'
import type { Sql } from '@berth/service'
import { BadArchive } from '../archives/bad-archive.ts'
import { heldAt } from '../intervals/held.ts'
import { stagedTrees } from '../stages/staged-trees.ts'
import { findBase, type Origin } from './target-state.ts'

const inTarget = (table: string) => `exists (
    select
    from ${table} as member
    where member.repository_id = $2::uuid
      and member.digest = needed.digest
      and (member.until is null or ($4::integer is not null and ${heldAt('member', '$4::integer')})))`

const unprovenQuery = `
  with recursive ${stagedTrees},
  needed as (
    select digest, null as manifest
    from closure
    union all
    select reference.child, reference.manifest
    from closure
    join manifest_reference as reference on reference.manifest = closure.digest
      and reference.role in ('config', 'layer')
      and not reference.optional
    union all
    select digest, null
    from stage_blob
    where stage = $1)
  select needed.digest, needed.manifest
  from needed
  where not exists (select from import_verified where import_id = $3::uuid and import_verified.digest = needed.digest)
    and not ${inTarget('manifest_interval')}
    and not ${inTarget('blob_interval')}
  limit 1`

/** A type that bytes leave open is judged with the bytes: one that is said of what is held has to be that of the target. */
const mistypedQuery = `
  select staged.digest
  from stage_manifest as staged
  where staged.stage = $1
    and staged.pushed_type <> ''
    and not exists (select from import_verified where import_id = $3::uuid and import_verified.digest = staged.digest)
    and not exists (
      select
      from manifest_interval as member
      where member.repository_id = $2::uuid
        and member.digest = staged.digest
        and member.pushed_type = staged.pushed_type)
  limit 1`

type Proving = { importId: string; stage: string; name: string; repositoryId: string | null; origin: Origin | null }

/**
 * Refuses a stage that names anything whose bytes the archive has not brought, unless the repository that it goes to has it: the store
 * is shared by all, so that it has something is no reason to give it to whoever knows its digest. Throws `BadArchive`.
 */
export async function requireProven(sql: Sql, { importId, stage, name, repositoryId, origin }: Proving): Promise<void> {
  const base = repositoryId !== null && origin ? await findBase(sql, repositoryId, origin) : undefined
  const [unproven] = await sql.query<{ digest: Digest; manifest: Digest | null }>(unprovenQuery, [
    stage,
    repositoryId,
    importId,
    base ?? null,
  ])
  const [mistyped] = await sql.query<{ digest: Digest }>(mistypedQuery, [stage, repositoryId, importId])
  if (mistyped) throw isMistyped(mistyped.digest, name)
  if (unproven) throw isMissing(unproven, name)
}

export function isMistyped(digest: Digest, name: string): BadArchive {
  return new BadArchive(digest, `has another type in the base of "${name}"`)
}

export function isMissing({ digest, manifest }: { digest: Digest; manifest: Digest | null }, name: string): BadArchive {
  return new BadArchive(
    digest,
    `is missing: ${manifest ? `${manifest} of "${name}"` : `"${name}"`} needs it, and the archive does not carry it`,
  )
}
