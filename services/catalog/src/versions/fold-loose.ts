import { type Actor, berth, type Database, type Transaction } from '@berth/service'
import { beginEdit } from '../intervals/edit.ts'
import { finishVersion } from './finish.ts'
import type { LockedRepository } from './locked-repository.ts'
import { lockRepository } from './repository-lock.ts'

const quietSeconds = 60

/** Makes a version of the loose manifests of a locked repository, if there are any. Answers the repository as it is then. */
export async function foldLoose(
  sql: Transaction,
  repository: LockedRepository,
  actor: Actor,
): Promise<LockedRepository> {
  if (repository.looseSince === null) return repository
  const made = await finishVersion(sql, repository, beginEdit(repository), { cause: 'push', actor, taskId: null })
  // Loose manifests may all have been removed again: then there is nothing to fold, and nothing loose either.
  if (!made.created) await sql.query('update repository set loose_since = null where id = $1', [repository.id])
  return { ...repository, latestVersion: made.number, revision: made.revision, looseSince: null }
}

/** Folds what has been loose for a quiet minute. Answers the repositories that changed. */
export async function foldQuiet(db: Database): Promise<{ repositoryId: string; revision: number }[]> {
  const quiet = await db.query<{ id: string }>(
    `select id
     from repository
     where loose_since < now() - make_interval(secs => $1)
     order by loose_since
     limit 100`,
    [quietSeconds],
  )
  const changed = []
  for (const { id } of quiet) {
    const revision = await db.transaction(
      async (sql) => (await foldLoose(sql, await lockRepository(sql, id), berth)).revision,
    )
    changed.push({ repositoryId: id, revision })
  }
  return changed
}
