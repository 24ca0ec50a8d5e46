import type { Sql } from '@berth/service'
import type { ExportedRepository } from '../archives/document.ts'

/** Why content cannot simply be put into a repository. */
export type Conflict = { code: ConflictCode; message: string }
type ConflictCode =
  | 'not_allowed'
  | 'base_missing'
  | 'changed_here'
  | 'older_version'
  | 'tag_immutable'
  | 'quota_exceeded'

/** Who an archive says that its content comes from. */
export type Origin = { installation: string; exported: ExportedRepository }

type Head = { id: string; latestVersion: number; looseSince: Date | null }
/** A latest version, and which version of its origin it is, if it is one. */
type Latest = {
  installation: string | null
  originRepository: string | null
  originVersion: number | null
  contentHash: string
}

/**
 * Whether the latest version of a repository is what an import of the same origin left there, or what is brought itself, so that making it
 * exactly what the archive has takes nothing away that was made here. Asked when it is planned, and again under the lock of the commit.
 */
export async function findConflict(
  sql: Sql,
  { name, head, origin, contentHash }: { name: string; head: Head; origin: Origin | null; contentHash: string },
): Promise<Conflict | undefined> {
  if (head.latestVersion === 0 && head.looseSince === null) return undefined
  const [last] = await sql.query<Latest>(
    `select installation, origin_repository as "originRepository", origin_version as "originVersion",
       version.content_hash as "contentHash"
     from version
     left join import_origin as origin on origin.repository_id = version.repository_id
       and origin.version = version.number
     where version.repository_id = $1
       and version.number = $2`,
    [head.id, head.latestVersion],
  )
  const isOfOrigin =
    origin !== null &&
    head.looseSince === null &&
    last?.installation === origin.installation &&
    last.originRepository === origin.exported.id
  if (!isOfOrigin) {
    if (head.looseSince === null && last?.contentHash === contentHash) return undefined
    return {
      code: 'changed_here',
      message: `"${name}" has content that no import from there brought: version ${head.latestVersion} was made here, or came from elsewhere`,
    }
  }
  const { number } = origin.exported.version
  if (last.originVersion === null || last.originVersion <= number) return undefined
  return {
    code: 'older_version',
    message: `"${name}" has version ${last.originVersion} of there already, and the archive has version ${number}`,
  }
}

/** The version here that has what a delta does not carry. */
export async function findBase(
  sql: Sql,
  repositoryId: string,
  { installation, exported }: Origin,
): Promise<number | undefined> {
  const { since, id } = exported
  if (!since) return undefined
  const [base] = await sql.query<{ version: number }>(
    `select origin.version
     from import_origin as origin
     join version on version.repository_id = origin.repository_id
       and version.number = origin.version
     where origin.repository_id = $1
       and origin.installation = $2
       and origin.origin_repository = $3
       and origin.origin_version = $4
       and origin.content_hash = $5
     order by origin.version desc
     limit 1`,
    [repositoryId, installation, id, since.number, since.contentHash],
  )
  return base?.version
}

export function baseMissing(name: string, { exported }: Pick<Origin, 'exported'>, what = ''): Conflict {
  const { since, name: there } = exported
  const lacking = what === '' ? '' : `, of which ${what} is missing`
  return {
    code: 'base_missing',
    message: `the archive has only what changed since version ${since?.number} of "${there}", and "${name}" does not have that version${lacking}: import that one first, or a full export`,
  }
}

/** Notes which version of its origin a version here is. */
export async function recordOrigin(
  sql: Sql,
  { repositoryId, version }: { repositoryId: string; version: number },
  { installation, exported }: Origin,
): Promise<void> {
  await sql.query(
    `insert into import_origin (repository_id, version, installation, origin_repository, origin_name, origin_version, content_hash)
     values ($1, $2, $3, $4, $5, $6, $7)
     on conflict (repository_id, version) do update
     set installation = excluded.installation,
       origin_repository = excluded.origin_repository,
       origin_name = excluded.origin_name,
       origin_version = excluded.origin_version,
       content_hash = excluded.content_hash,
       imported_at = now()`,
    [
      repositoryId,
      version,
      installation,
      exported.id,
      exported.name,
      exported.version.number,
      exported.version.contentHash,
    ],
  )
}
