import type { BlobStore } from '@berth/blobs'
import type { ByteRange, Digest } from '@berth/oci'
import {
  badCursor,
  type Handlers,
  isUuid,
  notSeen,
  type Principal,
  Problem,
  type RequestOf,
  readPage,
  toPage,
} from '@berth/service'
import { type AskDeps, askForExport } from '../exports/ask.ts'
import { letGo } from '../exports/change-export.ts'
import { type Export, exportColumns, readExport, type Selected, selectedOf } from '../exports/export-row.ts'
import type { ExportDeps } from '../exports/export-work.ts'
import { isAdministrator, maySee } from '../exports/may-see.ts'
import { refusedOf } from '../exports/rights.ts'
import { sendDownload } from '../exports/send-download.ts'
import { archiveName, checksumLines, partName } from '../exports/target.ts'
import type { components, operations } from '../openapi-types.ts'

type Deps = AskDeps & { blobs: BlobStore; targetOf: ExportDeps['targetOf'] }

/** The API of exports: what carries content away. */
export function exportHandlers(deps: Deps) {
  const { db, blobs } = deps
  const find = async (id: string, principal: Principal): Promise<Export> => {
    const row = isUuid(id) ? await readExport(db, id) : undefined
    if (!row || !maySee(principal, row)) throw notSeen('export', id)
    return row
  }
  /** What is kept for whoever asked for it, and may still pull all of it. */
  const findKept = async (id: string, principal: Principal) => {
    const row = await find(id, principal)
    if ((await refusedOf(db, id, principal.rights)).length > 0) throw notSeen('export', id)
    if (row.target !== 'download')
      throw new Problem(409, 'no_download', `This export went into a ${row.target}.`, {
        hint: 'It lies at its path; ask for another one with {"to": {"kind": "download"}}.',
      })
    if (row.state === 'waiting' || row.state === 'running')
      throw new Problem(409, 'export_running', 'This export is not done yet.', { hint: 'Wait for its task to end.' })
    const { archiveBytes, archiveDigest } = row
    if (row.keptUntil === null || row.keptUntil <= new Date() || archiveBytes === null || archiveDigest === null)
      throw new Problem(410, 'export_gone', 'This export is not kept any more.', { hint: 'Ask for it again.' })
    return { ...row, archiveBytes, archiveDigest, archive: archiveName(row) }
  }
  const sendAll = async (request: RequestOf<operations['downloadExport']>) => {
    const { id, archive, archiveBytes, archiveDigest } = await findKept(request.params.export, request.principal)
    const span = { start: 0, end: archiveBytes - 1 }
    const download = { exportId: id, archiveBytes, name: archive, digest: archiveDigest, span }
    await sendDownload({ sql: db, blobs }, request, download)
    return undefined
  }
  const sendPart = async (request: RequestOf<operations['downloadExportPart']>) => {
    const { params, principal } = request
    const row = await findKept(params.export, principal)
    const { id, archive, archiveBytes } = row
    const found = spanOf(row, params.part)
    if (!found) throw notSeen('part', String(params.part))
    const download = { exportId: id, archiveBytes, name: partName(archive, params.part), ...found }
    await sendDownload({ sql: db, blobs }, request, download)
    return undefined
  }
  return {
    createExport: async (request) => {
      const task = await askForExport(deps, request)
      return { status: 202, headers: { location: `/api/v1/tasks/${task.id}` }, body: task }
    },
    listExports: async ({ query, principal }) => {
      const page = readPage(query)
      if (page.after !== undefined && !/^\d{1,18}$/.test(page.after)) throw badCursor()
      const rows = await db.query<Export>(
        `select ${exportColumns}
         from export
         where ($1::bigint is null or seq < $1)
           and ($2::boolean or created_by_id = $3::uuid)
         order by seq desc
         limit $4`,
        [page.after ?? null, isAdministrator(principal), isUuid(principal.id) ? principal.id : null, page.limit + 1],
      )
      return {
        status: 200,
        body: toPage(
          rows,
          page,
          (row) => String(row.seq),
          (row) => showExport(row),
        ),
      }
    },
    showExport: async ({ params, principal }) => {
      const row = await find(params.export, principal)
      const repositories = await selectedOf(db, row.id)
      return {
        status: 200,
        body: { ...showExport(row), repositories: repositories.map(showSelected), parts: partsOf(row) },
      }
    },
    deleteExport: async ({ params, principal }) => {
      const row = await find(params.export, principal)
      if (row.state === 'waiting' || row.state === 'running')
        throw new Problem(409, 'export_running', 'This export is not done yet.', {
          hint: 'Cancel its task: POST /tasks/{task}/cancel.',
        })
      await db.background.transaction((sql) => letGo(sql, row.id))
      return { status: 204 }
    },
    headExport: sendAll,
    downloadExport: sendAll,
    headExportPart: sendPart,
    downloadExportPart: sendPart,
    showExportChecksums: async ({ params, principal, response }) => {
      const row = await find(params.export, principal)
      if (row.archiveDigest === null)
        throw new Problem(409, 'no_checksums', 'This export has no archive whose checksum there could be.', {
          hint:
            row.state === 'completed' ? 'Each file of a layout is named by its digest.' : 'Wait for its task to end.',
        })
      const files =
        row.chunkBytes === null
          ? [{ name: archiveName(row), digest: row.archiveDigest }]
          : partsOf(row).map(({ name, digest }) => ({ name, digest }))
      const text = checksumLines(files)
      response.set({ 'content-type': 'text/plain; charset=utf-8' }).send(text)
      return undefined
    },
  } satisfies Partial<Handlers<operations>>
}

function spanOf({ parts }: Export, number: number): { digest: Digest; span: ByteRange } | undefined {
  const part = parts[number]
  if (!part) return undefined
  const start = parts.slice(0, number).reduce((sum, { bytes }) => sum + bytes, 0)
  return { digest: part.digest, span: { start, end: start + part.bytes - 1 } }
}

function partsOf(row: Export): components['schemas']['ExportPart'][] {
  return row.parts.map((part, number) => ({ number, name: partName(archiveName(row), number), ...part }))
}

function showSelected({ id, name, number, since, facts }: Selected): components['schemas']['ExportedRepository'] {
  return { id, name, version: number, since, alsoVersions: facts }
}

function showExport(row: Export): components['schemas']['Export'] {
  const iso = (time: Date | null) => time?.toISOString() ?? null
  return {
    id: row.id,
    task: row.taskId,
    state: row.state,
    to: { kind: row.target, path: row.path },
    chunkBytes: row.chunkBytes,
    selector: row.selector,
    distributions: row.withDistributions,
    chartImages: row.withChartImages,
    signed: row.isSigned,
    indexDigest: row.state === 'completed' ? row.indexDigest : null,
    archiveDigest: row.state === 'completed' ? row.archiveDigest : null,
    archiveBytes: row.state === 'completed' ? row.archiveBytes : null,
    blobs: row.state === 'completed' ? row.blobs : null,
    bytes: row.state === 'completed' ? row.blobBytes : null,
    keptUntil: iso(row.keptUntil),
    error: row.error,
    createdAt: row.createdAt.toISOString(),
    createdBy: row.createdBy,
    createdById: row.createdById,
    startedAt: iso(row.startedAt),
    finishedAt: iso(row.finishedAt),
  }
}
