import { heldAt } from '../intervals/held.ts'

/** Manifests of the versions that distributions pin. `$1` is the repository. */
export const pinnedManifests = `
  select member.digest
  from distribution
  join manifest_interval as member on member.repository_id = $1
    and ${heldAt('member', 'distribution.version')}
  where distribution.repository_id = $1`
