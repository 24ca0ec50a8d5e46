import type { Sql } from '@berth/service'

/** A repository whose row is held: no other transaction makes a version or a served change of it until this one ends. */
export type LockedRepository = {
  id: string
  name: string
  latestVersion: number
  revision: number
  looseSince: Date | null
  /** Patterns of tags that must neither move nor go. */
  immutableTags: string[]
  /** Whether an index may lack some of its manifests. */
  sparseIndexes: boolean
  /** How many of the newest versions are kept; null keeps all. */
  retainVersions: number | null
  /** How many bytes its namespace may hold; null: any number. */
  quotaBytes: number | null
  /** Versions that `retainVersions` must not take away yet, because they are read. */
  inUse: readonly number[]
}

/** Takes the next revision of a locked repository for a served change that makes no version. */
export async function nextRevision(sql: Sql, repository: LockedRepository): Promise<number> {
  const revision = repository.revision + 1
  await sql.prepared('next-revision', 'update repository set revision = $2 where id = $1', [repository.id, revision])
  return revision
}
