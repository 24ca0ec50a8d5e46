import type { CatalogCommands, StoredBlob } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { type Database, notFound, type Sql } from '@berth/service'
import { blobsHealed } from '../leases/healed.ts'
import { orStale } from '../leases/place-blobs.ts'
import { type QuotaUse, quotaWarning, withinQuota } from '../namespaces/quota.ts'
import { ensureRepository } from '../repositories/ensure.ts'
import { rowsAfter } from '../served/rows.ts'

type Push = CatalogCommands['push-blob']
type Pushed = Omit<StoredBlob, 'digest'> & { healed: boolean } & { [Key in keyof QuotaUse]: number | null }

/**
 * Ends a pushed blob, in one statement: its bytes are durable under a generation that their writer took, and are linked to the
 * repository so that manifests may name them. Answers the generation that counts; where it is another one, the blob was here already.
 * Doing it twice is doing it once. Without a generation it links what is here, and `blob` is null where that is nothing.
 */
export async function pushBlob(db: Database, request: Push['request']): Promise<Push['reply']> {
  const { repositoryId } = request
  // Where nothing is served yet, a distribution has to be made, and the repository perhaps.
  if (repositoryId === null) return pushToNew(db, request)
  const pushed = await orStale(() => withinQuota(db, () => push(db, repositoryId, request)))
  // No row: also of a blob that is not here, which is to be linked as it is.
  if (!pushed && !(await isThere(db, repositoryId))) return { blob: null, isGone: true }
  if (pushed?.healed) await db.transaction(async (sql) => sql.afterCommit(blobsHealed))
  return replyOf(request, pushed)
}

/** The first blob under a name where nothing is served yet. */
async function pushToNew(db: Database, request: Push['request']): Promise<Push['reply']> {
  const work = () =>
    db.transaction(async (sql) => {
      // Nothing is made for a blob that is not here.
      if (request.generation === null && !(await isPresent(sql, request.digest))) return { blob: null }
      const repository = await ensureRepository(sql, request)
      if (!repository) throw notFound('repository', request.repository)
      const pushed = await push(sql, repository.id, request)
      if (pushed?.healed) sql.afterCommit(blobsHealed)
      const { id, name, revision, latestVersion, known } = repository
      const rows = await rowsAfter(sql, id, known, { name, revision, latestVersion })
      return { ...replyOf(request, pushed), made: { repositoryId: id, rows } }
    })
  return orStale(() => withinQuota(db, work))
}

async function isPresent(sql: Sql, digest: Digest): Promise<boolean> {
  const rows = await sql.query(
    `select
     from blob
     where digest = $1
       and state = 'present'
     for no key update`,
    [digest],
  )
  return rows.length > 0
}

async function isThere(db: Database, repositoryId: string): Promise<boolean> {
  return (await db.query('select from repository where id = $1', [repositoryId])).length > 0
}

async function push(
  sql: Pick<Sql, 'prepared'>,
  repositoryId: string,
  { digest, generation, sizeBytes, keepSeconds }: Push['request'],
): Promise<Pushed | undefined> {
  const [row] = await sql.prepared<Pushed>(
    'push-blob',
    `select generation, size_bytes as "sizeBytes", healed, used_bytes as "usedBytes", quota_bytes as "quotaBytes"
     from push_blob($1, $2, $3, $4, $5)`,
    [repositoryId, digest, generation, sizeBytes, keepSeconds],
  )
  return row
}

function replyOf({ repository, digest }: Push['request'], pushed: Pushed | undefined): Push['reply'] {
  if (!pushed) return { blob: null }
  const { generation, sizeBytes, usedBytes, quotaBytes } = pushed
  const blob = { digest, generation, sizeBytes }
  if (usedBytes === null || quotaBytes === null) return { blob }
  const warning = quotaWarning(repository, { usedBytes, quotaBytes })
  return { blob, ...(warning === undefined ? {} : { warning }) }
}

/** A blob that pushes linked to a repository and no manifest has named yet; null where there is none. */
export async function findLink(
  db: Database,
  { repository, digest }: { repository: string; digest: Digest },
): Promise<StoredBlob | null> {
  const [row] = await db.prepared<StoredBlob>(
    'find-link',
    `select blob.digest, blob.generation::bigint as generation, blob.size_bytes as "sizeBytes"
     from repository
     join blob_link as link on link.repository_id = repository.id
     join blob on blob.digest = link.digest
     where repository.name = $1
       and link.digest = $2
       and link.linked
       and blob.state = 'present'`,
    [repository, digest],
  )
  return row ?? null
}

const mostLinking = 1_000

/** The repositories to which a blob is linked, a thousand at most. */
export async function listLinking(db: Database, digest: Digest): Promise<string[]> {
  const rows = await db.prepared<{ id: string }>(
    'list-linking',
    `select link.repository_id as id
     from blob_link as link
     join blob on blob.digest = link.digest
     where link.digest = $1
       and link.linked
       and blob.state = 'present'
     order by link.repository_id
     limit $2`,
    [digest, mostLinking],
  )
  return rows.map((row) => row.id)
}
