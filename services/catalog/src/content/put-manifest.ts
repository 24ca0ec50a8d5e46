import type { CatalogCommands } from '@berth/commands'
import { type Database, type InternalCall, notFound, type Sql } from '@berth/service'
import { ensureRepository } from '../repositories/ensure.ts'
import { runCommand } from '../run-command.ts'
import { rowsAfter } from '../served/rows.ts'
import { addManifests, beginEdit, setTags } from '../versions/edit.ts'
import { finishVersion } from '../versions/finish.ts'
import { type LockedRepository, nextRevision } from '../versions/repository-lock.ts'
import { checkReferences } from './check-references.ts'
import { recordManifests } from './record-manifests.ts'

type Put = CatalogCommands['put-manifest']

/**
 * A pushed manifest, its references and its tags, in one transaction. With tags it makes one version; by digest alone it
 * becomes a loose member: served at once, kept without expiry, folded into the next version.
 */
export async function putManifest(db: Database, request: Put['request'], call: InternalCall): Promise<Put['reply']> {
  return runCommand(db, call, async (sql) => {
    const repository = await ensureRepository(sql, request)
    if (!repository) throw notFound('repository', request.repository)
    const { version, revision } =
      request.tags.length > 0 ? await putTagged(sql, repository, request) : await putLoose(sql, repository, request)
    return {
      change: { repositoryId: repository.id, revision },
      version,
      rows: await rowsAfter(sql, repository.id, repository.known),
    }
  })
}

async function putTagged(
  sql: Sql,
  repository: LockedRepository,
  request: Put['request'],
): Promise<{ version: number; revision: number }> {
  const { digest } = request.manifest
  const edit = beginEdit(repository)
  // Sent together, in this order; each of these sends all it has at once. The version is made only when all went well.
  await Promise.all([
    checkReferences(sql, repository.id, request.manifest),
    recordManifests(sql, [request.manifest]),
    addManifests(sql, edit, [digest]),
    setTags(
      sql,
      edit,
      request.tags.map((name) => ({ name, digest })),
    ),
  ])
  const made = await finishVersion(sql, repository, edit, { cause: 'push', actor: request.actor, taskId: null })
  return { version: made.number, revision: made.revision }
}

async function putLoose(
  sql: Sql,
  repository: LockedRepository,
  request: Put['request'],
): Promise<{ version: number; revision: number }> {
  await Promise.all([checkReferences(sql, repository.id, request.manifest), recordManifests(sql, [request.manifest])])
  const [member] = await sql.query(
    'select from manifest_interval where repository_id = $1 and digest = $2 and until is null',
    [repository.id, request.manifest.digest],
  )
  if (member) return { version: repository.latestVersion, revision: repository.revision }
  await addManifests(sql, beginEdit(repository), [request.manifest.digest])
  const revision = await nextRevision(sql, repository)
  await sql.query('update repository set loose_since = now() where id = $1', [repository.id])
  return { version: repository.latestVersion, revision }
}
