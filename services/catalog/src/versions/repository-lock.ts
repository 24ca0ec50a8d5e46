import { notFound, type Sql } from '@berth/service'
import type { LockedRepository } from './locked-repository.ts'
import { writeOut } from './write-out.ts'

type Row = LockedRepository & { contentOf: number | null }

const columns = `id, name, latest_version as "latestVersion", revision, loose_since as "looseSince",
  immutable_tags as "immutableTags", sparse_indexes as "sparseIndexes", content_of as "contentOf", lately_read as "inUse",
  retain_versions as "retainVersions",
  (select quota_bytes from namespace where namespace.name = split_part(repository.name, '/', 1)) as "quotaBytes"`

/** Locks a repository by name; `undefined` when there is none. What a rollback left to be written is written. */
export async function lockRepositoryNamed(sql: Sql, name: string): Promise<LockedRepository | undefined> {
  const [row] = await sql.prepared<Row>(
    'lock-named',
    `select ${columns}
     from repository
     where name = $1
     for update`,
    [name],
  )
  return row && writeOutLocked(sql, row)
}

/** Locks a repository by id. What a rollback left to be written is written. Throws 404 when it is gone. */
export async function lockRepository(sql: Sql, id: string): Promise<LockedRepository> {
  const [row] = await sql.prepared<Row>(
    'lock-repository',
    `select ${columns}
     from repository
     where id = $1
     for update`,
    [id],
  )
  if (!row) throw notFound('repository', id)
  return writeOutLocked(sql, row)
}

// Everything that changes a repository goes by its open intervals, so they have to be those of its latest version.
async function writeOutLocked(sql: Sql, { contentOf, ...repository }: Row): Promise<LockedRepository> {
  if (contentOf === null) return repository
  // A reader that was told a moment ago that the latest is read there still finds it there.
  return {
    ...repository,
    revision: await writeOut(sql, repository, contentOf),
    inUse: [...repository.inUse, contentOf],
  }
}
