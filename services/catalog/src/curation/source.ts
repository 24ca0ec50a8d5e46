import { type Rights, toSql } from '@berth/access'
import { type Digest, parseDigest } from '@berth/oci'
import { Problem, type Sql } from '@berth/service'
import { heldByAny, heldIn } from '../intervals/held.ts'
import { typeOf } from '../intervals/tables.ts'

/** Where content is taken from: a repository as it is in one version, or in its latest with what is loose. */
export type Source = { repositoryId: string; name: string; bound: number }
/** How a request names a source: id or name, and a version or the latest. */
export type SourceName = { repository: string; version?: number }

/**
 * Finds a source, and keeps it as it is until the transaction ends: what is read of it in several steps belongs together. Two
 * repositories that copy from each other at once are told apart by PostgreSQL, and one begins again. Throws 404 that names
 * the field.
 */
export async function findSource(sql: Sql, { repository, version }: SourceName, field: string): Promise<Source> {
  const [row] = await sql.query<{ id: string; name: string; latest: number; contentOf: number | null; known: boolean }>(
    `select id, name, latest_version as latest, content_of as "contentOf",
       exists (select from version where repository_id = repository.id and number = $2) as known
     from repository
     where name = $1 or id::text = $1
     for share of repository`,
    [repository, version ?? 0],
  )
  if (!row)
    throw new Problem(404, 'repository_not_found', `There is no repository "${repository}", or you may not see it.`, {
      field: `${field}.repository`,
    })
  // Held as it is, it is not written out meanwhile; nothing is loose in one that is not.
  if (version === undefined) return { repositoryId: row.id, name: row.name, bound: row.contentOf ?? row.latest + 1 }
  if (!row.known)
    throw new Problem(404, 'version_not_found', `${row.name} has no version ${version}.`, {
      field: `${field}.version`,
      hint: `Its latest version is ${row.latest}.`,
    })
  return { repositoryId: row.id, name: row.name, bound: version === row.latest ? (row.contentOf ?? version) : version }
}

/**
 * Finds, for each digest, a source that has the manifest: the repository itself, where an older version may have it, before
 * any other that the caller may pull from. Throws 404 with all digests that are nowhere.
 */
export async function findSourcesOf(
  sql: Sql,
  repositoryId: string,
  digests: readonly Digest[],
  rights: Rights,
): Promise<Map<Digest, Source>> {
  // Looked for, held, and looked at again: what changed in between is somewhere else now.
  const held = (await sourcesOf(sql, repositoryId, digests, rights)).map((row) => row.repositoryId)
  await sql.query(
    `select
     from repository
     where id = any($1::uuid[])
     order by id
     for share`,
    [held],
  )
  const rows = await sourcesOf(sql, repositoryId, digests, rights)
  if (rows.some((row) => !held.includes(row.repositoryId)))
    throw Object.assign(new Error('the sources changed while they were read'), { code: serializationFailure })
  const found = new Map(rows.map(({ digest, ...source }) => [digest, source]))
  const missing = digests.filter((digest) => !found.has(digest))
  if (missing.length > 0) throw missingContent(missing, 'No repository that you may read')
  return found
}

// Transactions that fail so are begun again.
const serializationFailure = '40001'

// In a repository that is not written out, what is open is in the version before the latest: as good a source as any.
async function sourcesOf(
  sql: Sql,
  repositoryId: string,
  digests: readonly Digest[],
  rights: Rights,
): Promise<({ digest: Digest } & Source)[]> {
  const columns = { name: 'repository.name', id: 'repository.id', owner: 'repository.owner_id' }
  const pullable = toSql(rights, 'pull', 'repository', columns, 3)
  return sql.query(
    `select distinct on (member.digest) member.digest, repository.id as "repositoryId", repository.name,
       coalesce(member.until - 1, repository.latest_version + 1) as bound
     from manifest_interval as member
     join repository on repository.id = member.repository_id
     where member.digest = any($2::text[])
       and ${heldByAny('member')}
       and (repository.id = $1 or ${pullable.condition})
     order by member.digest, (member.repository_id = $1) desc, (member.until is null) desc, member.since desc`,
    [repositoryId, digests, ...pullable.values],
  )
}

/** 404 for tags and digests that a request names and a source does not have; `missing` lists all of them. */
export function missingContent(missing: readonly string[], where: string): Problem {
  const shown = missing
    .slice(0, 10)
    .map((name) => (parseDigest(name) ? `manifest ${name}` : `tag "${name}"`))
    .join(', ')
  return new Problem(404, 'content_not_found', `${where} has no ${shown}${missing.length > 10 ? ', and more' : ''}.`, {
    hint: 'Check the names; nothing was changed.',
    more: { missing: missing.slice(0, 1_000) },
  })
}

/** Tags of a source by name: all of them, or those named. */
export async function tagsOf(
  sql: Sql,
  source: Source,
  names?: readonly string[],
): Promise<{ name: string; digest: Digest }[]> {
  return sql.query(
    `select name, digest
     from tag_interval
     where ${heldIn('tag_interval', '$1', '$2')}
       and ($3::text[] is null or name = any($3))
     order by name`,
    [source.repositoryId, source.bound, names ?? null],
  )
}

/** Digests of a source's manifests: all of them, those named, those of some media types, or both. */
export async function manifestsOf(
  sql: Sql,
  source: Source,
  filter: { digests?: readonly Digest[] | undefined; mediaTypes?: readonly string[] | undefined } = {},
): Promise<Digest[]> {
  const rows = await sql.query<{ digest: Digest }>(
    `select digest
     from manifest_interval as member
     where ${heldIn('member', '$1', '$2')}
       and ($3::text[] is null or digest = any($3))
       and (
         $4::text[] is null
         or exists (
           select
           from manifest
           where manifest.digest = member.digest
             and ${typeOf('member')} = any($4)))`,
    [source.repositoryId, source.bound, filter.digests ?? null, filter.mediaTypes ?? null],
  )
  return rows.map((row) => row.digest)
}
