import { randomUUID } from 'node:crypto'
import { decide, hasAnywhere } from '@berth/access'
import { refuseBelowReserve } from '@berth/blobs'
import type { CommandClient, TasksCommands } from '@berth/commands'
import { parseContentRange } from '@berth/oci'
import {
  type ApiReply,
  type ApiRequest,
  actorOf,
  badField,
  deriveId,
  type Handlers,
  isUuid,
  notSeen,
  type Principal,
  Problem,
  readPage,
  toPage,
  withAudit,
} from '@berth/service'
import { asProblem } from '../imports/import-fault.ts'
import { beginTask, type ImportJob, insertImport, listImports, readImport, touchImport } from '../imports/import-row.ts'
import type { ImportDeps, ImportPayload } from '../imports/import-work.ts'
import { openImport } from '../imports/open-archive.ts'
import { type Plan, planImport } from '../imports/plan.ts'
import { dropPart, partBytes, sentParts, storePiece, unpackedPart } from '../imports/store-piece.ts'
import { forgetImport } from '../imports/sweep-imports.ts'
import { checkMap, type ImportWishes } from '../imports/targets.ts'
import { readPlace } from '../imports/transfer-place.ts'
import type { operations } from '../openapi-types.ts'

type Deps = Omit<ImportDeps, 'gate' | 'auth'> & { tasks: CommandClient<TasksCommands> }

const mostParts = 10_000

/** The API of imports: their archives, what importing them would do, and the tasks that do it. */
export function importHandlers(deps: Deps) {
  const { db, blobs, tasks, transferDirectory, signing } = deps
  /** An import is for who made it, and for administrators. */
  const find = async (id: string, principal: Principal): Promise<ImportJob> => {
    const job = isUuid(id) ? await readImport(db, id) : undefined
    if (!job || !(job.createdById === principal.id || isAdmin(principal))) throw notSeen('import', id)
    return job
  }
  const dropUnpacked = async ({ id }: ImportJob) => {
    await db.query('update import_job set unpacked = false where id = $1', [id])
    await dropPart(db, id, unpackedPart)
  }
  const findUpload = async ({
    params,
    principal,
  }: {
    params: { import: string; part: number | string }
    principal: Principal
  }) => {
    const job = await find(params.import, principal)
    const part = Number(params.part)
    if (job.source !== 'upload')
      throw new Problem(409, 'not_an_upload', 'This import reads its archive from a directory.', {
        hint: 'Make one with {"from": {"kind": "upload"}}.',
      })
    if (job.state === 'running')
      throw new Problem(409, 'import_running', 'A task of this import is reading the archive.', {
        hint: 'Cancel its task first, or make another import.',
      })
    if (part < 0 || part >= mostParts) throw badField('part', `must be from 0 to ${mostParts - 1}`)
    return { job, part }
  }
  const plan = async (job: ImportJob, asked: Parameters<typeof planImport>[2]): Promise<ApiReply> => {
    await touchImport(db, job.id)
    try {
      const opened = await openImport(deps, job, asked)
      try {
        const { kind, origin, notes, chartImages } = opened.contents
        const planned = showPlan(await planImport({ db, blobs, signing }, opened.contents, asked))
        return { status: 200, body: { kind, origin, notes, chartImages, ...planned } }
      } finally {
        await opened.close()
      }
    } catch (error) {
      throw asProblem(error)
    }
  }
  const begin = async (
    job: ImportJob,
    kind: ImportPayload['kind'],
    wishes: ImportWishes,
    request: Pick<ApiRequest, 'principal' | 'requestId' | 'taskId'>,
  ): Promise<ApiReply> => {
    checkMap(wishes.map ?? {})
    const { principal, requestId, taskId = randomUUID() } = request
    if (!(await beginTask(db, job.id, taskId)))
      throw new Problem(409, 'import_running', 'A task of this import is under way.', {
        hint: `Wait for it, or cancel it: POST /api/v1/tasks/${job.taskId}/cancel.`,
      })
    const payload: ImportPayload = { importId: job.id, kind, wishes }
    const { task } = await tasks.call(
      'create-task',
      { id: taskId, kind: 'import', payload, exclusive: [`import:${job.id}`], shared: [], actor: actorOf(principal) },
      { requestId },
    )
    return { status: 202, headers: { location: `/api/v1/tasks/${task.id}` }, body: task }
  }
  return {
    createImport: async (request) => {
      const { body, principal, taskId = randomUUID() } = request
      requireImporter(principal)
      const { kind, path } = body.from
      if (kind === 'upload' && path !== undefined)
        throw badField('from.path', 'belongs to a directory', 'Leave it away.')
      if (kind === 'directory') requireAdmin(principal)
      if (kind === 'directory' && path === undefined)
        throw badField('from.path', 'is missing', 'Say where the archive lies.')
      const place = kind === 'directory' ? await readPlace(transferDirectory, path ?? '') : null
      if (kind === 'upload' && body.apply)
        throw badField('apply', 'belongs to a directory', 'Upload the archive first, and then POST …/apply.')
      const wanted = { source: kind, path: place, actor: actorOf(principal) }
      if (body.apply) {
        checkMap(body.apply.map ?? {})
        const job = await insertImport(db, { ...wanted, id: deriveId(`import of task ${taskId}`) })
        return begin(job, 'apply', body.apply, { ...request, taskId })
      }
      const job = await insertImport(db, wanted)
      return { status: 201, headers: { location: `/api/v1/imports/${job.id}` }, body: showImport(job) }
    },
    listImports: async ({ query, principal }) => {
      const page = readPage(query)
      const rows = await listImports(db, page, isAdmin(principal) ? undefined : principal.id)
      return { status: 200, body: toPage(rows, page, (row) => `${row.createdAt} ${row.id}`, showImport) }
    },
    showImport: async ({ params, principal }) => {
      const job = await find(params.import, principal)
      const body = { ...showImport(job), result: job.result ?? null, parts: await sentParts(db, job.id) }
      return { status: 200, body }
    },
    deleteImport: async ({ params, principal }) => {
      const job = await find(params.import, principal)
      if (job.state === 'running')
        throw new Problem(409, 'import_running', 'A task of this import is under way.', {
          hint: `Cancel it first: POST /api/v1/tasks/${job.taskId}/cancel.`,
        })
      await forgetImport(db, job.id, { keepsRow: false })
      return { status: 204 }
    },
    showImportPart: async (request) => {
      const { job, part } = await findUpload(request)
      return { status: 204, headers: partHeaders(job.id, part, await partBytes(db, job.id, part)) }
    },
    uploadImportPart: async (request) => {
      const { job, part } = await findUpload(request)
      const incoming = request.response.req
      const startOffset = await partBytes(db, job.id, part)
      requireRange(incoming.headers, { id: job.id, part, startOffset })
      await refuseBelowReserve(blobs)
      if (incoming.headers.expect !== undefined) request.response.writeContinue()
      try {
        const body = incoming.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>
        // The audit trail has the import, and not each of its chunks.
        const end = await withAudit(undefined, async () => {
          // The archive is another one now: what was unpacked of it counts no more.
          await dropUnpacked(job)
          await touchImport(db, job.id)
          return storePiece({ db, blobs }, { importId: job.id, part, startOffset }, body, request.signal)
        })
        return { status: 202, headers: partHeaders(job.id, part, end) }
      } catch (error) {
        // A client that left is told nothing; what came is kept.
        if (request.signal.aborted) return undefined
        // The rest of what the client sends is not waited for.
        if (!incoming.complete) request.response.set('connection', 'close')
        throw asProblem(error)
      }
    },
    dropImportPart: async (request) => {
      const { job, part } = await findUpload(request)
      await dropPart(db, job.id, part)
      await dropUnpacked(job)
      return { status: 204 }
    },
    planImport: async ({ params, body, principal, signal }) => {
      const job = await find(params.import, principal)
      const wishes: ImportWishes = body ?? {}
      checkMap(wishes.map ?? {})
      // It changes nothing that anybody else sees.
      const reply = await withAudit(undefined, () => plan(job, { rights: principal.rights, wishes, signal }))
      // How full the disks are is for administrators to know.
      return isAdmin(principal) ? reply : { ...reply, body: { ...(reply.body as object), freeBytes: null } }
    },
    verifyImport: async (request) => begin(await find(request.params.import, request.principal), 'verify', {}, request),
    applyImport: async (request) => {
      const job = await find(request.params.import, request.principal)
      requireImporter(request.principal)
      return begin(job, 'apply', request.body ?? {}, request)
    },
  } satisfies Partial<Handlers<operations>>
}

function isAdmin({ rights }: Principal): boolean {
  return decide(rights, 'administer', { kind: 'settings', name: '' }).allowed
}

function requireAdmin(principal: Principal): void {
  if (isAdmin(principal)) return
  throw new Problem(403, 'not_allowed', `${principal.name} may not read the directory for transfers.`, {
    hint: 'That is for administrators; upload the archive: {"from": {"kind": "upload"}}.',
    more: { missing: { verb: 'administer', role: 'admin' } },
  })
}

/** Refuses whoever may push nowhere, before anything is uploaded; where it goes is known from the archive only. */
function requireImporter(principal: Principal): void {
  if (hasAnywhere(principal.rights, 'push')) return
  throw new Problem(403, 'not_allowed', `${principal.name} may not import: that needs "push" on some repository.`, {
    hint: 'Ask an owner for the role "pusher".',
    more: { missing: { verb: 'push', role: 'pusher' } },
  })
}

/** Where a part is sent to and how far it has come, as /v2 says it of uploads. */
function partHeaders(id: string, part: number, bytes: number): Record<string, string> {
  return {
    location: `/api/v1/imports/${id}/parts/${part}`,
    range: `0-${Math.max(0, bytes - 1)}`,
    'upload-offset': String(bytes),
  }
}

/** A chunk begins where the part ends; else 416, with where that is. */
function requireRange(
  headers: { 'content-range'?: string | undefined; 'content-length'?: string | undefined },
  { id, part, startOffset }: { id: string; part: number; startOffset: number },
): void {
  const text = headers['content-range']
  if (text === undefined) return
  const range = parseContentRange(text)
  const length = headers['content-length']
  const isWhole = range && (length === undefined || Number(length) === range.end - range.start + 1)
  if (isWhole && range.start === startOffset && range.end >= range.start) return
  throw new Problem(416, 'range_invalid', `The next byte of part ${part} is ${startOffset}.`, {
    hint: 'Send from there on, with a Content-Range that fits Content-Length; DELETE the part to begin it again.',
    headers: partHeaders(id, part, startOffset),
  })
}

function showImport(job: ImportJob) {
  return {
    id: job.id,
    from: { kind: job.source, ...(job.path === null ? {} : { path: job.path }) },
    state: job.state,
    task: job.taskId,
    error: job.error,
    createdAt: job.createdAt,
    createdBy: job.createdBy,
    createdById: job.createdById,
    finishedAt: job.finishedAt?.toISOString() ?? null,
    ...(job.source === 'upload' ? { upload: `/api/v1/imports/${job.id}/parts/0` } : {}),
  }
}

function showPlan({ repositories, ...plan }: Plan) {
  return {
    ...plan,
    repositories: repositories.map(({ repository, origin, contentHash: _hash, ...planned }) => ({
      ...planned,
      exists: repository !== null && planned.conflict?.code !== 'not_allowed',
      version: origin?.exported.version.number ?? null,
      since: origin?.exported.since?.number ?? null,
    })),
  }
}
