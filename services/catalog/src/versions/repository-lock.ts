import { notFound, type Sql } from '@berth/service'
import type { LockedRepository } from './locked-repository.ts'

const columns = `id, name, latest_version as "latestVersion", revision, loose_since as "looseSince", immutable_tags as "immutableTags",
  sparse_indexes as "sparseIndexes",
  retain_versions as "retainVersions", (select quota_bytes from namespace where namespace.name = split_part(repository.name, '/', 1)) as "quotaBytes"`

/** Locks a repository by name; `undefined` when there is none. */
export async function lockRepositoryNamed(sql: Sql, name: string): Promise<LockedRepository | undefined> {
  const [row] = await sql.prepared<LockedRepository>(
    'lock-named',
    `select ${columns} from repository where name = $1 for update`,
    [name],
  )
  return row
}

/** Locks a repository by id. Throws 404 when it is gone. */
export async function lockRepository(sql: Sql, id: string): Promise<LockedRepository> {
  const [row] = await sql.prepared<LockedRepository>(
    'lock-repository',
    `select ${columns} from repository where id = $1 for update`,
    [id],
  )
  if (!row) throw notFound('repository', id)
  return row
}
