import type { KeyObject } from 'node:crypto'
import { decide } from '@berth/access'
import type { AuthCommands, CommandClient, TaskError } from '@berth/commands'
import { Problem } from '@berth/service'
import { outcomeOfError, type Work } from '@berth/worker'
import { releaseLeases, renewLeases } from '../leases/leases.ts'
import { checkBytes } from '../store/check-bytes.ts'
import { noteDamage } from '../store/damage.ts'
import { ensureWrittenOut } from '../versions/ensure-written-out.ts'
import {
  type ExportResult,
  recordFailure,
  recordSealed,
  recordStart,
  recordSuccess,
  resultOf,
} from './change-export.ts'
import type { ExportCounts } from './count-exports.ts'
import { type Export, holderOf, readExport, selectedOf } from './export-row.ts'
import { exportFault, named } from './fault.ts'
import { type GatherDeps, type Gathered, gather, leaseSeconds } from './gather.ts'
import { placeMembers } from './members.ts'
import type { Damage } from './read-archive.ts'
import { refusedOf } from './rights.ts'
import type { Target } from './target.ts'
import { writeDocuments } from './write-documents.ts'
import { type Written, writeExport } from './write-export.ts'

export type ExportPayload = { exportId: string }

export type ExportDeps = GatherDeps & {
  auth: CommandClient<AuthCommands>
  signingKey: KeyObject | undefined
  counts: ExportCounts
  targetOf: (wanted: Pick<Export, 'id' | 'target' | 'path' | 'chunkBytes'>, fence: number) => Target | undefined
}

type Progress = { phase: string; done: number; total: number | null; unit: string }
type Hooks = { signal: AbortSignal; note: Parameters<Work>[1]['note']; show: (progress: () => Progress[]) => void }

const renewEveryMs = 6 * 3_600_000
const mostNoted = 100
const mostParts = 10_000

/** Does the tasks of kind `export`. */
export function createExportWork(deps: ExportDeps): Work {
  return async (task, { signal, report, note }) => {
    const { exportId } = task.payload as ExportPayload
    const { db, log } = deps
    const wanted = await recordStart(db, exportId)
    if (!wanted) return ended(deps, exportId)
    const target = deps.targetOf(wanted, task.fence)
    // Of an archive of terabytes the leases would end before it is read.
    const renewing = setInterval(
      () => void renewLeases(db, holderOf(exportId), leaseSeconds).catch(() => 'renewed later'),
      renewEveryMs,
    ).unref()
    try {
      const result = await exportAll(deps, wanted, target, { signal, note, show: report })
      log.info('content exported', { ...result })
      deps.counts.ended('completed', result.bytes)
      return { state: 'completed', result }
    } catch (error) {
      const outcome = outcomeOfError(error, { task, signal, log, cancelled, explain })
      await discardPlace(deps, exportId)
      if (await recordFailure(db, exportId, outcome.state, outcome.error)) deps.counts.ended(outcome.state)
      return outcome
    } finally {
      clearInterval(renewing)
    }
  }
}

const cancelled = 'The export was cancelled; nothing of it is left.'

function explain(error: unknown): TaskError | undefined {
  if (!(error instanceof Problem)) return undefined
  return { code: error.code, message: [error.message, error.options.hint].filter(Boolean).join(' ') }
}

/** What is told of an export that had ended before its task was done again. */
async function ended({ db }: ExportDeps, exportId: string): ReturnType<Work> {
  const row = await readExport(db, exportId)
  if (row?.state === 'completed') return { state: 'completed', result: await resultOf(db, row) }
  const error = row?.error ?? { code: 'export_gone', message: 'This export is not known any more.' }
  return { state: row?.state === 'cancelled' ? 'cancelled' : 'failed', error }
}

async function exportAll(
  deps: ExportDeps,
  wanted: Export,
  target: Target | undefined,
  { signal, note, show }: Hooks,
): Promise<ExportResult> {
  const { db, blobs } = deps
  const { id } = wanted
  const repositories = await selectedOf(db, id)
  await requireRights(deps, wanted, signal)
  // Killed behind `finish`, and before that was noted: what was sealed stands there.
  if (wanted.archiveBytes !== null && (await target?.isFinished())) return recordSuccess(db, id)
  await startOver(deps, id)
  for (const repository of repositories) await ensureWrittenOut(db, repository.id)
  if (wanted.selector !== null)
    note(`"${wanted.selector}" took ${repositories.length} repositories: those of ${wanted.createdBy} to pull`)
  const seen: Gathered = { carried: 0, fetched: 0, fetchedBytes: 0 }
  show(() => [
    { phase: 'gather', done: seen.carried, total: null, unit: 'blobs' },
    { phase: 'fetch', done: seen.fetchedBytes, total: null, unit: 'bytes' },
  ])
  await gather(deps, id, repositories, { signal, seen })
  if (seen.fetched > 0) note(`${seen.fetched} layers of ${seen.fetchedBytes} bytes were fetched first`)
  const { documents, index, blobs: carried } = await writeDocuments(deps, wanted, repositories, { signal, note })
  note(`${carried.count} blobs of ${carried.bytes} bytes are carried`)
  const archiveBytes = await placeMembers(db, id, documents)
  requireFewParts(wanted, archiveBytes)
  if (target && !wanted.hasPlace) {
    await target.requireFree()
    await db.query('update export set has_place = true where id = $1', [id])
  }
  await target?.begin(archiveBytes)
  let done = 0
  show(() => [{ phase: 'write', done, total: archiveBytes, unit: 'bytes' }])
  const damage: Damage[] = []
  const onBytes = (count: number) => {
    done += count
  }
  let written: Written
  try {
    written = await writeExport({ sql: db, blobs }, wanted, archiveBytes, target, { signal, damage, onBytes })
  } finally {
    await tellDamage(deps, damage, { signal, note })
  }
  await recordSealed(db, id, {
    ...written,
    archiveBytes,
    indexDigest: index.digest,
    blobs: carried.count,
    blobBytes: carried.bytes,
  })
  signal.throwIfAborted()
  await target?.finish()
  return recordSuccess(db, id)
}

/** Removes what was written of an export that ended before all of it was. What was there before it is not its own. */
export async function discardPlace(
  { db, targetOf, log }: Pick<ExportDeps, 'db' | 'targetOf' | 'log'>,
  exportId: string,
): Promise<void> {
  const row = await readExport(db, exportId)
  if (!row?.hasPlace || row.state === 'completed') return
  await targetOf(row, 0)
    ?.discard()
    .catch((error: unknown) => log.warn('a partial export is left', { exportId, error }))
}

/** Each part has a row in an answer and a line in the checksums. */
function requireFewParts({ chunkBytes }: Export, archiveBytes: number): void {
  const parts = chunkBytes === null ? 1 : Math.ceil(archiveBytes / chunkBytes)
  if (parts <= mostParts) return
  throw exportFault(
    'too_many_parts',
    `The archive has ${archiveBytes} bytes, which are ${parts} parts, and ${mostParts} are the most.`,
    `Ask for parts of at least ${Math.ceil(archiveBytes / mostParts)} bytes: "chunkBytes".`,
  )
}

/** Forgets what an attempt before this one had noted. */
async function startOver({ db }: ExportDeps, id: string): Promise<void> {
  await db.query('delete from export_member where export_id = $1', [id])
  await releaseLeases(db, holderOf(id))
}

/** Whoever asked for it must have the right to it when it begins, too. What Berth does by itself needs none. */
async function requireRights(
  { db, auth }: ExportDeps,
  { id, target, createdBy, createdById }: Export,
  signal: AbortSignal,
): Promise<void> {
  if (createdById === null) return
  const { principal } = await auth.call('principal-of', { accountId: createdById }, { signal })
  const isAdmin = principal && decide(principal.rights, 'administer', { kind: 'settings', name: '' }).allowed
  if (target !== 'download' && !isAdmin)
    throw new Problem(403, 'forbidden', `${createdBy}, who asked for this, is no administrator any more.`, {
      hint: 'Ask for a download, or have an administrator export it.',
    })
  const refused = principal ? await refusedOf(db, id, principal.rights) : ['any of it']
  if (refused.length > 0)
    throw new Problem(403, 'forbidden', `${createdBy}, who asked for this, may not pull all of it any more.`, {
      hint: `Give the right back, or leave out what may not be pulled: ${named(refused)}.`,
    })
}

/** Has the store know what was found, so that repair looks for it; a second look decides. */
async function tellDamage(
  { db, blobs, log }: ExportDeps,
  damage: readonly Damage[],
  { signal, note }: Pick<Hooks, 'signal' | 'note'>,
): Promise<void> {
  for (const { digest, generation, found } of damage.slice(0, mostNoted)) {
    note(`${digest} is ${found}`, { level: 'error' })
    try {
      const [row] = await db.query<{ sizeBytes: number }>(
        'select size_bytes as "sizeBytes" from blob where digest = $1',
        [digest],
      )
      if (!row) continue
      const verdict = await checkBytes(blobs, { digest, generation }, row.sizeBytes, signal)
      if (verdict.found === 'sound') continue
      await noteDamage(
        db,
        blobs,
        { digest, generation, sizeBytes: row.sizeBytes },
        { ...verdict, found: verdict.found },
      )
    } catch (error) {
      log.warn('damage that an export met is left to the scrub', { digest, error })
    }
  }
}
