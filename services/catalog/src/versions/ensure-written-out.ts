import { type Database, type Sql, withAudit } from '@berth/service'
import { lockRepository } from './repository-lock.ts'

/**
 * Sees to it that what is open in a repository is what its latest version has, for a reader that has not the repository's lock
 * and decides by it. Answers the revision that says so, if there was anything to write.
 */
export async function ensureWrittenOut(db: Database, repositoryId: string): Promise<number | undefined> {
  const [waiting] = await db.prepared(
    'is-unsettled',
    'select from repository where id = $1 and content_of is not null',
    [repositoryId],
  )
  // It says the same in another way, whoever reads it, and is no change of theirs.
  const write = () => db.transaction(async (sql) => (await lockRepository(sql, repositoryId)).revision)
  return waiting && withAudit(undefined, write)
}

/**
 * Sees to it that a version has intervals of its own, so that it can be served by its number. Answers the revision that registry
 * must have followed before; `undefined` where that is no question, for only rollbacks are ever waited for.
 */
export async function ensureVersionWrittenOut(
  sql: Sql,
  repositoryId: string,
  number: number,
): Promise<number | undefined> {
  const [rollback] = await sql.query<{ revision: number; isWaiting: boolean }>(
    `select repository.revision, latest_version = number and content_of is not null as "isWaiting"
     from version
     join repository on repository.id = version.repository_id
     where repository_id = $1
       and number = $2
       and cause = 'rollback'`,
    [repositoryId, number],
  )
  return rollback?.isWaiting ? (await lockRepository(sql, repositoryId)).revision : rollback?.revision
}
