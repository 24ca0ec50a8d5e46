import type { CatalogCommands, ManifestSignature } from '@berth/commands'
import { type Database, type InternalCall, notFound, Problem, type Sql } from '@berth/service'
import { runCommand } from '../db/run-command.ts'
import { addSignature, beginEdit } from '../intervals/edit.ts'
import { rowsAfter } from '../served/rows.ts'
import { finishVersion } from '../versions/finish.ts'
import { lockRepositoryNamed } from '../versions/repository-lock.ts'

type Put = CatalogCommands['put-signature']

// With the limit of one signature, a list of them stays below the 4 MiB that clients read.
const mostOfManifest = 64

/** Adds a signature to a manifest that is in the repository, as a new version. The same one again changes nothing. */
export async function putSignature(db: Database, request: Put['request'], call: InternalCall): Promise<Put['reply']> {
  const { actor, signature } = request
  return runCommand(db, call, async (sql) => {
    const repository = await lockRepositoryNamed(sql, request.repository)
    if (!repository) throw notFound('repository', request.repository)
    const edit = beginEdit(repository)
    if (!(await isThere(sql, repository.id, signature))) await addSignature(sql, edit, signature)
    const made = await finishVersion(sql, repository, edit, { cause: 'push', actor, taskId: null })
    const head = { name: repository.name, revision: made.revision, latestVersion: made.number }
    return {
      change: { repositoryId: repository.id, revision: made.revision },
      version: made.number,
      rows: await rowsAfter(sql, repository.id, repository.revision, head),
    }
  })
}

/** Whether exactly this signature is in the repository. Throws what stands against adding it. */
async function isThere(sql: Sql, repositoryId: string, { name, digest, content }: ManifestSignature): Promise<boolean> {
  const [manifest] = await sql.query(
    'select from manifest_interval where repository_id = $1 and digest = $2 and until is null',
    [repositoryId, digest],
  )
  if (!manifest) throw notFound('manifest', digest)
  const present = await sql.query<{ name: string; content: string }>(
    'select name, content from signature_interval where repository_id = $1 and digest = $2 and until is null',
    [repositoryId, digest],
  )
  const known = present.find((one) => one.name === name)
  if (known && known.content !== content)
    throw new Problem(409, 'signature_exists', `There is another signature ${name} already.`, {
      hint: 'Send it under a new name: the digest, "@" and 32 random hex digits.',
    })
  if (!known && present.length >= mostOfManifest)
    throw new Problem(403, 'too_many_signatures', `${digest} has ${present.length} signatures, which is the most.`)
  return known !== undefined
}
