import type { CatalogCommands } from '@berth/commands'
import { type Database, type InternalCall, notFound } from '@berth/service'
import { ensureRepository } from '../repositories/ensure.ts'
import { runCommand } from '../run-command.ts'
import { rowsAfter } from '../served/rows.ts'
import { nextRevision } from '../versions/repository-lock.ts'
import { recordBlobs } from './leases.ts'

type Link = CatalogCommands['link-blob']

/** Links a blob whose bytes are durable to a repository, so that it can be read there and named by manifests. */
export async function linkBlob(db: Database, request: Link['request'], call: InternalCall): Promise<Link['reply']> {
  return runCommand(db, call, async (sql) => {
    await recordBlobs(sql, [request.blob])
    const repository = await ensureRepository(sql, request)
    if (!repository) throw notFound('repository', request.repository)
    const revision = await nextRevision(sql, repository)
    await sql.prepared(
      'link-blob',
      `insert into blob_link (repository_id, digest, linked, revision) values ($1, $2, true, $3)
       on conflict (repository_id, digest) do update set linked = true, linked_at = now(), revision = excluded.revision`,
      [repository.id, request.blob.digest, revision],
    )
    return {
      change: { repositoryId: repository.id, revision },
      rows: await rowsAfter(sql, repository.id, repository.known),
    }
  })
}
