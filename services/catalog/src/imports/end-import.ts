import { catalogEvents, fitLists, recordEvents } from '@berth/bus'
import type { TaskError } from '@berth/commands'
import type { Actor, Database, Transaction } from '@berth/service'

/** What an import brought, as its task and its row have it. */
export type ImportResult = {
  kind: 'berth' | 'oci-archive' | 'docker-archive'
  signature: 'unsigned' | 'unknown_key' | 'trusted'
  origin: string | null
  repositoryCount: number
  /** Of very many the first. */
  repositories: { name: string; repository: string; version: number; created: boolean }[]
  blobs: { verified: number; verifiedBytes: number; stored: number; storedBytes: number; known: number }
  notes: string[]
}

type Ending = { importId: string; taskId: string; actor: Actor }

/** Notes that an import is done, with its event. */
export async function recordImported(
  db: Database,
  { importId, taskId, actor }: Ending,
  result: ImportResult,
): Promise<void> {
  await db.transaction(async (sql) => {
    const ended = await sql.query(
      `update import_job
       set state = 'completed', result = $3, error = null, finished_at = now(), touched_at = now()
       where id = $1
         and task_id = $2
         and state = 'running'
       returning id`,
      [importId, taskId, JSON.stringify(result)],
    )
    if (ended.length === 0) return
    const { blobs, origin } = result
    const data = {
      importId,
      taskId,
      origin,
      ...fitLists({ repositories: result.repositories.map(({ repository }) => repository) }),
      blobs: blobs.verified + blobs.known,
      bytes: blobs.storedBytes,
    }
    await recordEvents(sql, [{ kind: catalogEvents.importCompleted, data, actor }])
  })
}

/** Notes that the archive of an import was verified. */
export async function recordVerified(db: Database, { importId, taskId }: Ending): Promise<void> {
  await db.query(
    `update import_job
     set state = 'open', error = null, finished_at = now(), touched_at = now()
     where id = $1
       and task_id = $2
       and state = 'running'`,
    [importId, taskId],
  )
}

/** Notes why a task of an import ended without its work being done. What was stored is kept for another one. */
export async function recordImportFailure(
  sql: Transaction,
  { importId, taskId, actor }: Ending,
  error: TaskError,
): Promise<void> {
  const ended = await sql.query(
    `update import_job
     set state = 'failed', error = $3, finished_at = now(), touched_at = now()
     where id = $1
       and task_id = $2
       and state = 'running'
     returning id`,
    [importId, taskId, JSON.stringify(error)],
  )
  if (ended.length === 0) return
  const data = { importId, taskId, code: error.code, reason: error.message }
  await recordEvents(sql, [{ kind: catalogEvents.importFailed, data, actor }])
}
