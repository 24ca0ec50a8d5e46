import type { Digest } from '@berth/oci'
import type { Sql } from '@berth/service'
import { holds } from '../collect/roots.ts'
import { heldByAny } from '../intervals/held.ts'

const listed = 100

/** Everything that keeps a digest, a hundred of each kind at most, and when it would go if there is nothing. */
export type Explanation = {
  digest: string
  state: string
  damage: string | null
  generation: number
  sizeBytes: number | null
  createdAt: string
  isNeeded: boolean
  candidateSince: string | null
  goesAt: string | null
  repositories: {
    id: string
    name: string
    as: 'blob' | 'manifest'
    versions: number[]
    isLoose: boolean
    tags: string[]
  }[]
  /** `keptUntil`: how long its push may name it, whatever the grace time is. */
  links: { repository: string; linkedAt: string; keptUntil: string | null }[]
  leases: { holder: string; repository: string | null; expiresAt: string }[]
  stages: { id: string; touchedAt: string }[]
  /** Manifests that name it, needed themselves or not. */
  namedBy: { digest: string; role: string; isNeeded: boolean }[]
  /** Manifests whose subject it is; they do not keep it. */
  referrers: string[]
}

const time = (value: string) => `to_char(${value} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
const list = (query: string) => `coalesce((select json_agg(item) from (${query} limit ${listed}) as item), '[]')`

// Versions of an interval that are still there; an open one may be of a loose member, which is in none yet. The latest may have
// its content by that of another.
const membership = (kind: 'blob' | 'manifest', tags: string) => `
  select repository.id, repository.name, '${kind}' as as,
    array(
      select number
      from version
      cross join lateral (
        select coalesce(case when number = repository.latest_version then repository.content_of end, number)) as read (at)
      where version.repository_id = repository.id
        and read.at >= member.since
        and (member.until is null or read.at < member.until)
      order by number desc
      limit ${listed}) as versions,
    member.until is null and member.since > repository.latest_version as "isLoose", ${tags} as tags
  from ${kind}_interval as member
  join repository on repository.id = member.repository_id
  where member.digest = blob.digest
    and ${heldByAny('member')}`

const tagsOfManifest = `array(
      select distinct name
      from tag_interval as tag
      where tag.repository_id = repository.id
        and tag.digest = blob.digest
        and ${heldByAny('tag')}
      order by name
      limit ${listed})`

const explainQuery = `
  select digest, state, damage, generation, size_bytes as "sizeBytes", ${time('created_at')} as "createdAt",
    ${time('candidate_since')} as "candidateSince",
    case when candidate_since is not null then ${time('(candidate_since + make_interval(secs => $2))')} end as "goesAt",
    ${list(`${membership('blob', "'{}'::text[]")} union all ${membership('manifest', tagsOfManifest)}`)} as repositories,
    ${list(`
      select repository.name as repository, ${time('linked_at')} as "linkedAt", ${time('kept_until')} as "keptUntil"
      from blob_link as link
      join repository on repository.id = link.repository_id
      where link.digest = blob.digest
        and link.linked
      order by repository.name`)} as links,
    ${list(`
      select holder, repository.name as repository, ${time('expires_at')} as "expiresAt"
      from lease
      left join repository on repository.id = lease.repository_id
      where lease.digest = blob.digest
        and expires_at > now()
      order by expires_at desc`)} as leases,
    ${list(`
      select stage.id, ${time('stage.touched_at')} as "touchedAt"
      from stage
      where exists (select from stage_manifest where stage = stage.id and digest = blob.digest)
        or exists (select from stage_tag where stage = stage.id and digest = blob.digest)`)} as stages,
    ${list(`
      select reference.manifest as digest, reference.role, holder.candidate_since is null as "isNeeded"
      from manifest_reference as reference
      join blob as holder on holder.digest = reference.manifest
      where reference.child = blob.digest
        and ${holds('reference')}
      order by reference.manifest`)} as "namedBy",
    array(
      select manifest
      from manifest_reference as reference
      where reference.child = blob.digest
        and reference.role = 'subject'
      order by manifest
      limit ${listed}) as referrers
  from blob
  where digest = $1`

/** What keeps a digest; `undefined` when nothing is known of it. */
export async function explain(sql: Sql, digest: Digest, graceSeconds: number): Promise<Explanation | undefined> {
  const [row] = await sql.query<Omit<Explanation, 'isNeeded'>>(explainQuery, [digest, graceSeconds])
  if (!row) return undefined
  const { repositories, links, leases, stages, namedBy } = row
  const isNeeded =
    [repositories, links, leases, stages].some((holders) => holders.length > 0) || namedBy.some((one) => one.isNeeded)
  return { ...row, isNeeded }
}
