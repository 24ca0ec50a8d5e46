import type { Digest } from '@berth/oci'
import type { Sql } from '@berth/service'
import { pinnedManifests } from './pinned.ts'

/** A manifest that nothing holds any more, since when, and what becomes of it. */
export type UntaggedVerdict = {
  digest: Digest
  /** Milliseconds since 1970. */
  untaggedAt: number
  goes: boolean
  reason: 'untagged' | 'immutable' | 'pinned'
}

// The version in which a row ended tells when; where it was deleted, the next one is later, which only keeps longer.
const endOf = (row: string) => `(
  select version.created_at
  from version
  where version.repository_id = $1
    and version.number >= greatest(${row}.until, ${row}.since + 1)
  order by version.number
  limit 1)`

/** Whether a manifest is held by an index that is here. */
const inIndex = (digest: string) => `exists (
  select
  from manifest_reference as reference
  join manifest_interval as holder on holder.repository_id = $1 and holder.digest = reference.manifest and holder.until is null
  where reference.child = ${digest}
    and reference.role = 'manifest')`

/**
 * Manifests that no tag and no index holds, that refer to nothing which is here, and that nothing held refers to: at any depth,
 * except by companion tags, which go with what they belong to.
 */
const query = `
  with recursive loose as materialized (
    select member.digest, member.opened_at
    from manifest_interval as member
    join manifest using (digest)
    where member.repository_id = $1
      and member.until is null
      and ($3::text[] is null or member.digest = any($3))
      and not exists (
        select
        from tag_interval as tag
        where tag.repository_id = $1
          and tag.digest = member.digest
          and tag.until is null)
      and not ${inIndex('member.digest')}
      and not exists (
        select
        from manifest_interval as subject
        where subject.repository_id = $1
          and subject.digest = manifest.subject
          and subject.until is null)),
  referring (root, digest) as (
    select digest, digest
    from loose
    union
    select referring.root, referrer.digest
    from referring
    join manifest as referrer on referrer.subject = referring.digest
    join manifest_interval as member on member.repository_id = $1 and member.digest = referrer.digest and member.until is null),
  held as (
    select root
    from referring
    where digest <> root
      and (
        ${inIndex('referring.digest')}
        or exists (
          select
          from tag_interval as tag
          where tag.repository_id = $1
            and tag.digest = referring.digest
            and tag.until is null
            and tag.name !~ '^sha(256|512)-[0-9a-f]{64}'))),
  aged as (
    select digest,
      greatest(
        opened_at,
        (
          select max(${endOf('tag')})
          from tag_interval as tag
          where tag.repository_id = $1
            and tag.digest = loose.digest
            and tag.until is not null),
        (
          select max(${endOf('holder')})
          from manifest_reference as reference
          join manifest_interval as holder on holder.repository_id = $1
            and holder.digest = reference.manifest
            and holder.until is not null
          where reference.child = loose.digest
            and reference.role = 'manifest')) as since
    from loose
    where digest not in (select root from held)),
  pinned as materialized (${pinnedManifests})
  select digest, (extract(epoch from since) * 1000)::double precision as "untaggedAt",
    digest in (select digest from pinned) as pinned
  from aged
  where since < now() - make_interval(days => $2)
  order by digest`

/**
 * What has been untagged for so many days, of these if some are named. `guarded` may not go because of an immutable companion
 * tag.
 */
export async function findUntagged(
  sql: Sql,
  repositoryId: string,
  { days, guarded, among }: { days: number; guarded: ReadonlySet<Digest>; among?: readonly Digest[] },
): Promise<UntaggedVerdict[]> {
  const rows = await sql.query<{ digest: Digest; untaggedAt: number; pinned: boolean }>(query, [
    repositoryId,
    days,
    among ?? null,
  ])
  return rows.map(({ digest, untaggedAt, pinned }) => {
    const reason = guarded.has(digest) ? 'immutable' : pinned ? 'pinned' : 'untagged'
    return { digest, untaggedAt, goes: reason === 'untagged', reason }
  })
}
