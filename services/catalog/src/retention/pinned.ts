/** Manifests of the versions that distributions pin. `$1` is the repository. */
export const pinnedManifests = `
  select member.digest
  from distribution
  join manifest_interval as member on member.repository_id = $1
    and member.since <= distribution.version
    and (member.until is null or member.until > distribution.version)
  where distribution.repository_id = $1`
