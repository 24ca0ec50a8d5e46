import type { Digest } from '@berth/oci'
import type { Sql } from '@berth/service'
import { heldIn } from '../intervals/held.ts'
import type { Source } from './source.ts'

/**
 * What hangs on a manifest within a repository: the manifests an index names; what refers to it by `subject`; and what its
 * companion tags hold, `sha256-<hex>` and `sha256-<hex>.<anything>` (cosign, and the referrers tag schema of the OCI
 * distribution spec). `$1` and `$2` are the repository and the bound; `at` is the row whose digest is asked after.
 */
export function edges(at: string): string {
  return `lateral (
    select reference.child as digest, true as is_child
    from manifest_reference as reference
    where reference.manifest = ${at}.digest
      and reference.role = 'manifest'
    union all
    select attached.digest, false
    from manifest as attached
    where attached.subject = ${at}.digest
    union all
    select tag.digest, false
    from tag_interval as tag
    where ${heldIn('tag', '$1', '$2')}
      and tag.name >= replace(${at}.digest, ':', '-')
      and tag.name < replace(${at}.digest, ':', '-') || '/') as edge
  join manifest_interval as member on ${heldIn('member', '$1', '$2')} and member.digest = edge.digest`
}

const closureQuery = `
  with recursive closure (digest) as (
    select unnest($3::text[])
    union
    select edge.digest
    from closure
    cross join ${edges('closure')}
    where case when edge.is_child then closure.digest <> all ($5::text[]) else $4::boolean end)
  select digest
  from closure`

/**
 * Manifests and all that hangs on them in a source, at any depth; without companions only what indexes name, but not
 * `childless` ones.
 */
export async function closureOf(
  sql: Sql,
  source: Source,
  roots: readonly Digest[],
  { companions, childless = [] }: { companions: boolean; childless?: readonly Digest[] },
): Promise<Digest[]> {
  if (roots.length === 0) return []
  const rows = await sql.query<{ digest: Digest }>(closureQuery, [
    source.repositoryId,
    source.bound,
    roots,
    companions,
    childless,
  ])
  return rows.map((row) => row.digest)
}

/** The tags of a source that are companions of these manifests. */
export async function companionTags(
  sql: Sql,
  source: Source,
  digests: readonly Digest[],
): Promise<{ name: string; digest: Digest }[]> {
  if (digests.length === 0) return []
  return sql.query(
    `select tag.name, tag.digest from tag_interval as tag where ${heldIn('tag', '$1', '$2')}
       and split_part(tag.name, '.', 1) in (select replace(digest, ':', '-') from unnest($3::text[]) as digest)`,
    [source.repositoryId, source.bound, digests],
  )
}
