import type { Sql } from '@berth/service'
import { restoreVersion } from '../intervals/restore.ts'
import type { LockedRepository } from './locked-repository.ts'

/**
 * Writes the intervals of the latest version of a locked repository, which so far has its content by that of an older version
 * (docs/decisions/0024). Nothing that is read changes. They are a change of their own for followers, and the version takes its
 * revision, so that whatever is opened or closed after it has a higher one. Answers that revision.
 */
export async function writeOut(
  sql: Sql,
  { id, latestVersion, revision }: Pick<LockedRepository, 'id' | 'latestVersion' | 'revision'>,
  contentOf: number,
): Promise<number> {
  const [target] = await sql.query<{ number: number; revision: number }>(
    'select number, revision from version where repository_id = $1 and number = $2',
    [id, contentOf],
  )
  if (!target)
    throw new Error(`version ${latestVersion} of ${id} has the content of version ${contentOf}, which is gone`)
  const edit = { repositoryId: id, number: latestVersion, revision: revision + 1 }
  await restoreVersion(sql, edit, target)
  await sql.query('update version set revision = $3 where repository_id = $1 and number = $2', [
    id,
    edit.number,
    edit.revision,
  ])
  await sql.query(
    'update repository set revision = $2, content_of = null, lately_read = lately_read || $3::integer where id = $1',
    [id, edit.revision, contentOf],
  )
  return edit.revision
}
