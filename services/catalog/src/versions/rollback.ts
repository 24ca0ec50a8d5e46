import { type Database, Problem } from '@berth/service'
import { withinQuota } from '../namespaces/quota.ts'
import { beginEdit, restoreVersion } from './edit.ts'
import { finishVersion } from './finish.ts'
import { foldLoose } from './fold-loose.ts'
import type { MadeVersion } from './record-version.ts'
import { lockRepository } from './repository-lock.ts'

/** Makes a new version with the content of an old one; none when the content is that already. Throws 404 for an unknown version. */
export async function rollBack(
  db: Database,
  request: { repositoryId: string; version: number; actor: string },
): Promise<MadeVersion> {
  return withinQuota(db, () =>
    db.transaction(async (sql) => {
      const locked = await lockRepository(sql, request.repositoryId)
      const [target] = await sql.query<{ number: number; revision: number; contentHash: string }>(
        'select number, revision, content_hash as "contentHash" from version where repository_id = $1 and number = $2',
        [locked.id, request.version],
      )
      if (!target) {
        throw new Problem(404, 'version_not_found', `${locked.name} has no version ${request.version}.`, {
          field: 'version',
          hint: `Its latest version is ${locked.latestVersion}.`,
        })
      }
      // What is loose was accepted; it must not vanish without a version that has it.
      const repository = await foldLoose(sql, locked, request.actor)
      const edit = beginEdit(repository)
      await restoreVersion(sql, edit, target)
      return finishVersion(sql, repository, edit, {
        cause: 'rollback',
        actor: request.actor,
        taskId: null,
        base: request.version,
        contentHash: target.contentHash,
      })
    }),
  )
}
