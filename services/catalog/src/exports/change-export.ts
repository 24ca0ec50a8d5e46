import { catalogEvents, recordEvents } from '@berth/bus'
import type { TaskError } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Database, Sql } from '@berth/service'
import { releaseLeases, renewLeases } from '../leases/leases.ts'
import { type Export, exportColumns, holderOf, readExport } from './export-row.ts'
import { leaseSeconds } from './gather.ts'

/** How long a download is kept, so that it can be carried away at leisure. */
const keptHours = 24

/** What the task of an export tells at its end. */
export type ExportResult = {
  exportId: string
  repositories: number
  blobs: number
  bytes: number
  indexDigest: Digest
  archiveDigest: Digest | null
  archiveBytes: number
  parts: number
}

/** Notes that an export is done now, perhaps again; `undefined` when it has ended, or is gone. */
export async function recordStart(sql: Sql, id: string): Promise<Export | undefined> {
  const [row] = await sql.query<Export>(
    `update export
     set state = 'running', started_at = coalesce(started_at, now())
     where id = $1
       and state in ('waiting', 'running')
     returning ${exportColumns}`,
    [id],
  )
  return row
}

export type Sealed = Pick<Export, 'indexDigest' | 'archiveDigest' | 'archiveBytes' | 'blobs' | 'blobBytes' | 'parts'>

/** Notes what was written, just before it is made visible: an attempt that comes after a kill in between finds it. */
export async function recordSealed(sql: Sql, id: string, sealed: Sealed): Promise<void> {
  const { indexDigest, archiveDigest, archiveBytes, blobs, blobBytes, parts } = sealed
  await sql.query(
    `update export
     set index_digest = $2, archive_digest = $3, archive_bytes = $4, blobs = $5, blob_bytes = $6, parts = $7
     where id = $1
       and state = 'running'`,
    [id, indexDigest, archiveDigest, archiveBytes, blobs, blobBytes, JSON.stringify(parts)],
  )
}

/** Notes that an export came to its end, with its event. */
export async function recordSuccess(db: Database, id: string): Promise<ExportResult> {
  return db.transaction(async (sql) => {
    const [row] = await sql.query<Export>(
      `update export
       set state = 'completed', finished_at = now(),
         kept_until = case target when 'download' then now() + make_interval(hours => $2) end
       where id = $1
         and state = 'running'
       returning ${exportColumns}`,
      [id, keptHours],
    )
    // Another attempt may have come to the same end.
    if (!row) return resultOf(sql, await completed(sql, id))
    const done = await resultOf(sql, row)
    const { exportId, archiveDigest, indexDigest, repositories, blobs, bytes } = done
    const data = { exportId, taskId: row.taskId, archiveDigest, indexDigest, repositories, blobs, bytes }
    const actor = { id: row.createdById, name: row.createdBy }
    await recordEvents(sql, [{ kind: catalogEvents.exportCompleted, data, actor }])
    if (row.keptUntil === null) await letGo(sql, id)
    else await renewLeases(sql, holderOf(id), leaseSeconds)
    return done
  })
}

async function completed(sql: Sql, id: string): Promise<Export> {
  const row = await readExport(sql, id)
  if (row?.state !== 'completed') throw new Error(`export ${id} had ended before it was completed`)
  return row
}

export async function resultOf(sql: Sql, row: Export): Promise<ExportResult> {
  const [count] = await sql.query<{ repositories: number }>(
    'select count(*)::integer as repositories from export_repository where export_id = $1',
    [row.id],
  )
  if (row.indexDigest === null) throw new Error(`export ${row.id} has no index`)
  return {
    exportId: row.id,
    repositories: count?.repositories ?? 0,
    blobs: row.blobs ?? 0,
    bytes: row.blobBytes ?? 0,
    indexDigest: row.indexDigest,
    archiveDigest: row.archiveDigest,
    archiveBytes: row.archiveBytes ?? 0,
    parts: row.parts.length,
  }
}

/** Notes that an export ended without an archive; answers whether it ended by this. */
export async function recordFailure(
  db: Database,
  id: string,
  state: 'failed' | 'cancelled',
  error: TaskError,
): Promise<boolean> {
  return db.transaction(async (sql) => {
    const ended = await sql.query(
      `update export
       set state = $2, error = $3, finished_at = now()
       where id = $1
         and state in ('waiting', 'running')
       returning id`,
      [id, state, JSON.stringify(error)],
    )
    if (ended.length > 0) await letGo(sql, id)
    return ended.length > 0
  })
}

/** Lets go of what an export holds: its bytes are the collector's then, as far as nothing else needs them. */
export async function letGo(sql: Sql, id: string): Promise<void> {
  await sql.query('update export set kept_until = null where id = $1', [id])
  await sql.query('delete from export_member where export_id = $1', [id])
  await releaseLeases(sql, holderOf(id))
}
