import { noRights } from '@berth/access'
import type { BlobStore } from '@berth/blobs'
import { startLoop } from '@berth/bus'
import type { AuthCommands, ClaimedTask, CommandClient } from '@berth/commands'
import type { Database, Logger, Principal } from '@berth/service'
import { type Outcome, outcomeOfError, TaskLost, type Work } from '@berth/worker'
import type { ServedGate } from '../served/wait-until-served.ts'
import { applyImport } from './apply.ts'
import { type Applying, closeStages, committedTargets } from './applying.ts'
import { type ImportResult, recordImported, recordImportFailure, recordVerified } from './end-import.ts'
import { explainFault } from './import-fault.ts'
import { type ImportJob, readImport, touchImport } from './import-row.ts'
import { openImport } from './open-archive.ts'
import { planImport, type Signing } from './plan.ts'
import { refuseConflicts } from './refuse-conflicts.ts'
import type { Tally } from './store-blobs.ts'
import type { ImportWishes } from './targets.ts'
import { verifyContents, verifySums } from './verify.ts'

export type ImportDeps = {
  db: Database
  blobs: BlobStore
  gate: ServedGate
  auth: CommandClient<AuthCommands>
  transferDirectory: string | undefined
  signing: Signing
  log: Logger
}
export type ImportPayload = { importId: string; kind: 'apply' | 'verify'; wishes: ImportWishes }

// What a task and its row keep of very many.
const mostShown = 1_000
const renewEveryMs = 600_000
const cancelled =
  'The import was cancelled. Repositories that were imported by then stay; what was stored is kept, so that it can go on.'

type Hooks = Parameters<Work>[1]

/** Does the tasks of kind `import`: verifies an archive, or puts what it has into repositories. */
export function createImportWork(deps: ImportDeps): Work {
  return async (claimed, hooks) => {
    const { importId, kind, wishes } = claimed.payload as ImportPayload
    const job = await readImport(deps.db, importId)
    if (!job)
      return { state: 'failed', error: { code: 'import_not_found', message: `There is no import ${importId}.` } }
    // Whoever has the task tried again lends it no rights: what is imported, and where to, its maker has chosen.
    const task = { ...claimed, actor: { id: job.createdById, name: job.createdBy } }
    // A task that is tried again by a person goes on with what the one before has done.
    await deps.db.query(
      `update import_job set state = 'running', task_id = $2, finished_at = null where id = $1 and (state <> 'running' or task_id = $2)`,
      [importId, task.id],
    )
    await touchImport(deps.db, importId)
    const renewing = startLoop({
      pollMs: renewEveryMs,
      pauseAfterFailureMs: 10_000,
      onError: (error) => deps.log.warn('leases will be renewed again', { error }),
      run: () => touchImport(deps.db, importId),
    })
    try {
      return await (kind === 'verify' ? verify(deps, job, task, hooks) : apply(deps, job, { task, wishes, hooks }))
    } catch (error) {
      return await endByError(deps, job, task, error, hooks.signal)
    } finally {
      await renewing.stop()
    }
  }
}

function newTally(): Tally {
  return { verified: 0, verifiedBytes: 0, stored: 0, storedBytes: 0, known: 0 }
}

async function verify(
  deps: ImportDeps,
  job: ImportJob,
  task: ClaimedTask,
  { signal, report, note }: Hooks,
): Promise<Outcome> {
  const tally = newTally()
  let total: number | null = null
  report(() => [{ phase: 'verify', done: tally.verified + tally.known, total, unit: 'blobs' }])
  const opened = await openImport(deps, job, { signal })
  try {
    const { contents, sums } = opened
    total = contents.archive.blobs.count
    await verifySums(sums, { signal })
    const store = { db: deps.db, blobs: deps.blobs, importId: job.id, archive: contents.archive }
    await verifyContents(store, contents, { tally, signal })
    note(`${tally.verified + tally.known} blobs are what their digests say`)
    await recordVerified(deps.db, endingOf(job, task))
    return { state: 'completed', result: { kind: contents.kind, blobs: tally, notes: contents.notes } }
  } finally {
    await opened.close()
  }
}

type Doing = { task: ClaimedTask; wishes: ImportWishes; hooks: Hooks }

async function apply(deps: ImportDeps, job: ImportJob, { task, wishes, hooks }: Doing): Promise<Outcome> {
  const { signal, report, note } = hooks
  const { db, blobs, gate, signing } = deps
  const tally = newTally()
  const progress = { blobs: null as number | null, done: 0, repositories: null as number | null }
  report(() => [
    { phase: 'store', done: tally.verified + tally.known, total: progress.blobs, unit: 'blobs' },
    { phase: 'store', done: tally.verifiedBytes, total: null, unit: 'bytes' },
    { phase: 'commit', done: progress.done, total: progress.repositories, unit: 'repositories' },
  ])
  const caller = await callerOf(deps, task, signal)
  const opened = await openImport(deps, job, { signal })
  try {
    const { contents } = opened
    const committed = await committedTargets(db, task.id)
    const plan = await planImport({ db, blobs, signing }, contents, {
      rights: caller.rights,
      wishes,
      committed,
      signal,
    })
    refuseConflicts(plan)
    for (const said of contents.notes) note(said, { level: 'warn' })
    progress.blobs = contents.archive.blobs.count
    progress.repositories = plan.repositories.length
    const store = { db, blobs, importId: job.id, archive: contents.archive }
    const applying: Applying = {
      db,
      gate,
      store,
      contents,
      plan,
      map: wishes.map ?? {},
      task,
      ownerId: caller.robot ? null : caller.id,
      caller: () => callerOf(deps, task, signal),
      signedFor: new Map(),
      tally,
      onRepository: (name) => {
        progress.done++
        note(`"${name}" has what the archive has`)
      },
      signal,
    }
    const repositories = await applyImport(applying)
    const { kind, origin, notes } = contents
    const result: ImportResult = {
      kind,
      signature: plan.signature,
      origin,
      repositoryCount: repositories.length,
      repositories: repositories.slice(0, mostShown),
      blobs: tally,
      notes: notes.slice(0, mostShown),
    }
    await recordImported(db, endingOf(job, task), result)
    deps.log.info('archive imported', { import: job.id, repositories: repositories.length, ...tally })
    return { state: 'completed', result }
  } finally {
    await opened.close()
  }
}

function endingOf(job: ImportJob, task: ClaimedTask) {
  return { importId: job.id, taskId: task.id, actor: task.actor }
}

/** Who started a task, with the rights of now. */
async function callerOf(
  { auth }: Pick<ImportDeps, 'auth'>,
  { actor }: ClaimedTask,
  signal: AbortSignal,
): Promise<Principal> {
  const { principal } =
    actor.id === null ? { principal: null } : await auth.call('principal-of', { accountId: actor.id }, { signal })
  return principal ?? { id: '', name: actor.name, admin: false, rights: noRights(null) }
}

/** Notes how an error ended a task. Throws what ends none: another worker goes on with it, or it is tried again. */
async function endByError(
  { db, log }: ImportDeps,
  job: ImportJob,
  task: ClaimedTask,
  error: unknown,
  signal: AbortSignal,
): Promise<Outcome> {
  const ended = outcomeOfError(error, { task, signal, log, cancelled, explain: explainFault })
  try {
    await closeStages(db, task.id)
    await db.transaction((sql) => recordImportFailure(sql, endingOf(job, task), ended.error))
  } catch (cause) {
    throw new TaskLost('the end of an import could not be recorded', { cause })
  }
  log.info('import ended without its work being done', {
    import: job.id,
    code: ended.error.code,
    reason: ended.error.message,
  })
  return ended
}
