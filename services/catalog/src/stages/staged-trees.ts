/**
 * All that the change makes part of the repository `$2`: what is staged and what that names, at any depth, less what is left out. What an
 * index names as a blob too is a manifest to somebody, perhaps of another repository: here it is one that is here or staged itself.
 */
export const stagedTrees = `closure (digest) as (
  select digest
  from stage_manifest
  where stage = $1
  union
  select digest
  from stage_tag
  where stage = $1
    and digest is not null
  union
  select reference.child
  from closure
  join manifest_reference as reference on reference.manifest = closure.digest
    and reference.role = 'manifest'
    and not reference.optional
    and not exists (
      select
      from stage_omission as omission
      where omission.stage = $1
        and omission.manifest = reference.manifest
        and omission.child = reference.child)
    and (
      not exists (
        select
        from manifest_reference as other
        where other.manifest = reference.manifest
          and other.child = reference.child
          and other.role = 'layer')
      or exists (
        select
        from manifest_interval as member
        where member.repository_id = $2
          and member.digest = reference.child
          and member.until is null)))`
