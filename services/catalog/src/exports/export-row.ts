import type { TaskError } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Sql } from '@berth/service'

type ExportState = 'waiting' | 'running' | 'completed' | 'failed' | 'cancelled'
export type ExportPart = { bytes: number; digest: Digest }

export type Export = {
  id: string
  seq: number
  taskId: string
  state: ExportState
  target: 'download' | 'directory' | 'bucket'
  path: string | null
  chunkBytes: number | null
  selector: string | null
  withDistributions: boolean
  withChartImages: boolean
  isSigned: boolean
  hasPlace: boolean
  indexDigest: Digest | null
  archiveDigest: Digest | null
  archiveBytes: number | null
  blobs: number | null
  blobBytes: number | null
  parts: ExportPart[]
  error: TaskError | null
  createdAt: Date
  createdBy: string
  createdById: string | null
  startedAt: Date | null
  finishedAt: Date | null
  keptUntil: Date | null
}

/** A repository of an export: which version of it, and in a delta since which. */
export type Selected = {
  id: string
  name: string
  number: number
  contentHash: string
  since: number | null
  sinceHash: string | null
  facts: number[]
}

export const exportColumns = `export.id, seq, task_id as "taskId", state, target, path, chunk_bytes as "chunkBytes", selector,
  with_distributions as "withDistributions", with_chart_images as "withChartImages", is_signed as "isSigned", has_place as "hasPlace", index_digest as "indexDigest",
  archive_digest as "archiveDigest", archive_bytes as "archiveBytes", blobs, blob_bytes as "blobBytes", parts, error,
  created_at as "createdAt", created_by as "createdBy", created_by_id as "createdById", started_at as "startedAt",
  finished_at as "finishedAt", kept_until as "keptUntil"`

export async function readExport(sql: Sql, id: string): Promise<Export | undefined> {
  const [row] = await sql.query<Export>(`select ${exportColumns} from export where id = $1`, [id])
  return row
}

/** The repositories of an export in their order, which is that of the bytes of their names. */
export async function selectedOf(sql: Sql, exportId: string): Promise<Selected[]> {
  return sql.query<Selected>(
    `select repository_id as id, name, number, content_hash as "contentHash", since, since_hash as "sinceHash", facts
     from export_repository
     where export_id = $1
     order by name`,
    [exportId],
  )
}

/** Who holds the leases of an export. */
export function holderOf(exportId: string): string {
  return `export:${exportId}`
}
