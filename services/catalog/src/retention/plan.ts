import { type Digest, parseTagPattern } from '@berth/oci'
import { notFound, type Sql } from '@berth/service'
import type { Retention } from '../settings/retention-rules.ts'
import { judgeTags, type TagFacts, type TagVerdict } from './judge-tags.ts'
import { pinnedManifests } from './pinned.ts'
import { findUntagged, type UntaggedVerdict } from './untagged.ts'

/** What retention would do with a repository as it is. `source`: whose rules these are. */
export type RetentionPlan = {
  repositoryId: string
  /** What it was made of. */
  basis: Basis
  source: 'repository' | 'namespace' | null
  retention: Retention
  tags: TagVerdict[]
  untagged: UntaggedVerdict[]
  /** Manifests that an immutable companion tag keeps. */
  guarded: ReadonlySet<Digest>
}

/** Read of a repository and its namespace: a plan of other settings than these is another plan. */
export type Basis = {
  revision: number
  own: Retention | null
  inherited: Retention | null
  immutableTags: string[]
  /** The versions that distributions pin. */
  pins: number[]
}

/** What the judgement depends on, but for pulls, which are known to the hour only. Throws 404. */
export async function readBasis(sql: Sql, repositoryId: string): Promise<Basis> {
  const [basis] = await sql.query<Basis>(
    `select repository.revision, repository.retention as own, namespace.retention as inherited, immutable_tags as "immutableTags",
       array(
         select distinct version
         from distribution
         where repository_id = $1
           and version is not null
         order by version) as pins
     from repository
     left join namespace on namespace.name = split_part(repository.name, '/', 1)
     where repository.id = $1`,
    [repositoryId],
  )
  if (!basis) throw notFound('repository', repositoryId)
  return basis
}

/** Judges what is latest in a repository, by the database's clock. Throws 404. */
export async function planRetention(sql: Sql, repositoryId: string): Promise<RetentionPlan> {
  // Read first: whatever changes from here on makes the plan one that no longer holds.
  const basis = await readBasis(sql, repositoryId)
  const { own, inherited, immutableTags } = basis
  const retention = own ?? inherited ?? {}
  const source = own ? 'repository' : inherited ? 'namespace' : null
  const about = { repositoryId, basis, source, retention } as const
  if (!canTakeAnything(retention)) return { ...about, tags: [], untagged: [], guarded: new Set() }
  const facts = await readTags(sql, repositoryId, immutableTags)
  const [clock] = await sql.query<{ nowMs: number }>(
    'select (extract(epoch from now()) * 1000)::double precision as "nowMs"',
  )
  const guarded = await guardedManifests(sql, repositoryId, facts)
  const tags = judgeTags(
    retention.rules ?? [],
    facts.map((tag) => (guarded.has(tag.digest) ? { ...tag, isImmutable: true } : tag)),
    clock?.nowMs ?? 0,
  )
  const untagged =
    retention.untaggedDays === undefined
      ? []
      : await findUntagged(sql, repositoryId, { days: retention.untaggedDays, guarded })
  return { ...about, tags, untagged, guarded }
}

/** Whether rules can take anything away at all. */
function canTakeAnything({ rules = [], untaggedDays }: Retention): boolean {
  return rules.length > 0 || untaggedDays !== undefined
}

/** Whose companion a tag would be, in SQL: the digest that its name says. */
const ownerOf = (tag: string) => `replace(split_part(${tag}.name, '.', 1), '-', ':')`
const namedLikeCompanion = (tag: string) => `${tag}.name ~ '^sha(256|512)-[0-9a-f]{64}'`

const tagsQuery = `
  with pinned as materialized (${pinnedManifests})
  select tag.name as tag, tag.digest, (extract(epoch from tag.opened_at) * 1000)::double precision as "pushedAt",
    (extract(epoch from greatest(by_name.pulled_at, by_digest.pulled_at)) * 1000)::double precision as "pulledAt",
    tag.digest in (select digest from pinned) as "isPinned",
    ${namedLikeCompanion('tag')} and exists (
      select
      from manifest_interval as owner
      where owner.repository_id = $1
        and owner.digest = ${ownerOf('tag')}
        and owner.until is null) as "isCompanion"
  from tag_interval as tag
  left join tag_pull as by_name on by_name.repository_id = $1 and by_name.name = tag.name
  left join manifest_pull as by_digest on by_digest.repository_id = $1 and by_digest.digest = tag.digest
  where tag.repository_id = $1
    and tag.until is null
  order by tag.name`

async function readTags(sql: Sql, repositoryId: string, immutableTags: readonly string[]): Promise<TagFacts[]> {
  const immutable = immutableTags.map(parseTagPattern)
  const rows = await sql.query<Omit<TagFacts, 'isImmutable'>>(tagsQuery, [repositoryId])
  return rows.map((row) => ({ ...row, isImmutable: immutable.some((pattern) => pattern.matches(row.tag)) }))
}

const guardedQuery = `
  with recursive above (digest) as (
    select ${ownerOf('tag')} collate "default"
    from unnest($2::text[]) as tag (name)
    union
    select next.digest
    from above
    cross join lateral (
      select reference.manifest as digest
      from manifest_reference as reference
      where reference.child = above.digest
        and reference.role = 'manifest'
      union all
      select subject
      from manifest
      where manifest.digest = above.digest
        and subject is not null
      union all
      select ${ownerOf('tag')} collate "default"
      from tag_interval as tag
      where tag.repository_id = $1
        and tag.digest = above.digest
        and tag.until is null
        and ${namedLikeCompanion('tag')}) as next)
  select digest
  from above`

/**
 * Manifests that cannot go because an immutable companion tag would go with them: what these tags belong to, and all that
 * they in turn hang on.
 */
async function guardedManifests(sql: Sql, repositoryId: string, tags: readonly TagFacts[]): Promise<Set<Digest>> {
  const names = tags.filter((tag) => tag.isCompanion && tag.isImmutable).map(({ tag }) => tag)
  if (names.length === 0) return new Set()
  const rows = await sql.query<{ digest: Digest }>(guardedQuery, [repositoryId, names])
  return new Set(rows.map((row) => row.digest))
}
