import type { CatalogCommands } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { type Database, type InternalCall, notFound, Problem, type Sql } from '@berth/service'
import { runCommand } from '../db/run-command.ts'
import { beginEdit, type Edit, removeManifests, removeTags } from '../intervals/edit.ts'
import { rowsAfter } from '../served/rows.ts'
import { finishVersion } from '../versions/finish.ts'
import { foldLoose } from '../versions/fold-loose.ts'
import { nextRevision } from '../versions/locked-repository.ts'
import { lockRepositoryNamed } from '../versions/repository-lock.ts'

type DeleteReference = CatalogCommands['delete-reference']
type DeleteLink = CatalogCommands['delete-blob-link']

/** Deletes a tag, or a manifest with all its tags, as a new version; older versions keep both. */
export async function deleteReference(
  db: Database,
  request: DeleteReference['request'],
  call: InternalCall,
): Promise<DeleteReference['reply']> {
  return runCommand(db, call, async (sql) => {
    const locked = await lockRepositoryNamed(sql, request.repository)
    if (!locked) throw notFound('repository', request.repository)
    const repository = await foldLoose(sql, locked, request.actor)
    const edit = beginEdit(repository)
    if (request.tag !== undefined) await deleteTag(sql, edit, request.tag)
    if (request.digest !== undefined) await deleteManifest(sql, edit, request.digest)
    const made = await finishVersion(sql, repository, edit, { cause: 'remove', actor: request.actor, taskId: null })
    const head = { name: repository.name, revision: made.revision, latestVersion: made.number }
    return {
      change: { repositoryId: repository.id, revision: made.revision },
      version: made.number,
      rows: await rowsAfter(sql, repository.id, locked.revision, head),
    }
  })
}

async function deleteTag(sql: Sql, edit: Edit, tag: string): Promise<void> {
  const [open] = await sql.query('select from tag_interval where repository_id = $1 and name = $2 and until is null', [
    edit.repositoryId,
    tag,
  ])
  if (!open) throw notFound('tag', tag)
  await removeTags(sql, edit, [tag])
}

async function deleteManifest(sql: Sql, edit: Edit, digest: Digest): Promise<void> {
  const [open] = await sql.query(
    'select from manifest_interval where repository_id = $1 and digest = $2 and until is null',
    [edit.repositoryId, digest],
  )
  if (!open) throw notFound('manifest', digest)
  const holders = await sql.query<{ manifest: string }>(
    `select distinct reference.manifest
     from manifest_reference as reference
     join manifest_interval as member on member.digest = reference.manifest and member.repository_id = $1 and member.until is null
     where reference.child = $2
       and reference.role = 'manifest'
     limit 10`,
    [edit.repositoryId, digest],
  )
  if (holders.length > 0) {
    const names = holders.map((holder) => holder.manifest)
    throw new Problem(409, 'manifest_held', `${digest} is part of ${names.join(', ')}.`, {
      hint: 'Delete the index that holds it first.',
      more: { holders: names },
    })
  }
  const tags = await sql.query<{ name: string }>(
    'select name from tag_interval where repository_id = $1 and digest = $2 and until is null',
    [edit.repositoryId, digest],
  )
  await removeTags(
    sql,
    edit,
    tags.map((tag) => tag.name),
  )
  await removeManifests(sql, edit, [digest])
}

/** Takes a pushed blob out of a repository; refused while a manifest of the repository names it. */
export async function deleteBlobLink(
  db: Database,
  request: DeleteLink['request'],
  call: InternalCall,
): Promise<DeleteLink['reply']> {
  return runCommand(db, call, async (sql) => {
    const repository = await lockRepositoryNamed(sql, request.repository)
    if (!repository) throw notFound('repository', request.repository)
    const [member] = await sql.query(
      'select from blob_interval where repository_id = $1 and digest = $2 and until is null',
      [repository.id, request.digest],
    )
    if (member)
      throw new Problem(409, 'blob_held', `${request.digest} is part of a manifest of ${request.repository}.`, {
        hint: 'Delete the manifest first.',
      })
    const revision = await nextRevision(sql, repository)
    const unlinked = await sql.query(
      `update blob_link
       set linked = false, revision = $3
       where repository_id = $1
         and digest = $2
         and linked
       returning digest`,
      [repository.id, request.digest, revision],
    )
    if (unlinked.length === 0) throw notFound('blob', request.digest)
    const head = { ...repository, revision }
    return {
      change: { repositoryId: repository.id, revision },
      rows: await rowsAfter(sql, repository.id, repository.revision, head),
    }
  })
}
