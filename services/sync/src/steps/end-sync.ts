import { BlobStoreError } from '@berth/blobs'
import type { CatalogCommands, ClaimedTask, CommandClient, TaskError } from '@berth/commands'
import { UpstreamError } from '@berth/registry-client'
import { type Database, type Logger, Problem } from '@berth/service'
import { type ErrorOutcome, type Outcome, outcomeOfError, TaskLost } from '@berth/worker'
import type { Prisma } from '../db/client.ts'
import { shortened } from '../fetch/failures.ts'
import { sendCommit } from './commit-run.ts'
import { nowhere, type PlacedRun } from './placed-run.ts'
import { recordFailure, recordSuccess } from './record-run.ts'
import type { SyncResult } from './results.ts'

export type EndDeps = {
  db: Database
  prisma: Prisma
  catalog: CommandClient<CatalogCommands>
  log: Logger
}

/** The holder of a run's leases. */
export function holderOf(run: { id: string }): string {
  return `sync:${run.id}`
}

/** Notes that a run came to its end, and lets go of what it held. */
export async function succeed(deps: EndDeps, run: PlacedRun, result: SyncResult): Promise<Outcome> {
  await recordSuccess(deps.db, run, result)
  await releaseLeases(deps, run)
  deps.log.info('repository synced', {
    repository: run.repositoryName,
    remote: run.remoteName,
    version: result.version,
    created: result.created,
    bytesFetched: result.bytesFetched,
    failures: result.failureCount,
  })
  return { state: 'completed', result }
}

/** Gives the leases back. When this is not heard they run out by themselves: no reason to call a run anything but what it was. */
async function releaseLeases({ catalog, log }: EndDeps, run: PlacedRun): Promise<void> {
  try {
    await catalog.call('release-leases', { holder: holderOf(run) })
  } catch (error) {
    log.warn('leases are left to run out', { runId: run.id, error })
  }
}

/** Notes how an error ended a run. Throws what ends none: another worker goes on with the task, or it is tried again. */
export async function endByError(
  deps: EndDeps,
  run: PlacedRun,
  task: ClaimedTask,
  error: unknown,
  signal: AbortSignal,
): Promise<Outcome> {
  const reason = signal.aborted ? signal.reason : await whatIsGone(deps, run, error)
  // What this throws leaves stage and run as they are, so that the task goes on from what is stored.
  const ended = outcomeOfError(reason, { task, signal, log: deps.log, cancelled, explain, isForeign })
  try {
    return await giveUp(deps, run, task, ended)
  } catch (cause) {
    // Whether the commit won is catalog's to say, and it did not. Neither end may be told: the next worker of the task asks again.
    throw new TaskLost('the end of a sync run could not be recorded', { cause })
  }
}

/** What is deleted while it is synced ends the run, by whatever then failed first: that is told, and not this. */
async function whatIsGone({ prisma }: EndDeps, run: PlacedRun, error: unknown): Promise<unknown> {
  if (error instanceof UpstreamError || error instanceof BlobStoreError) return error
  if (error instanceof Problem && error.code === 'repository_not_found' && run.repositoryId !== nowhere)
    return gone('repository', run.repositoryName, error)
  const remote = await prisma.remote.findUnique({ where: { id: run.remoteId } }).catch(() => 'away')
  return remote ? error : gone('remote', run.remoteName, error)
}

/** Why a run ends whose repository or remote was deleted. */
export function gone(what: 'repository' | 'remote', name: string, cause: unknown): Problem {
  return new Problem(404, `${what}_not_found`, `The ${what} "${name}" was deleted.`, {
    hint: 'Nothing of this sync is visible.',
    cause,
  })
}

const cancelled = 'The sync was cancelled; nothing of it is visible.'

const isForeign = (error: unknown) => error instanceof UpstreamError

/** What a user is told: what failed, where, and what to do. */
function explain(error: unknown): TaskError | undefined {
  if (error instanceof UpstreamError)
    return { code: `upstream_${error.code}`, message: `${shortened(error.message)}. Nothing of this sync is visible.` }
  if (error instanceof Problem)
    return { code: error.code, message: [shortened(error.message), error.options.hint].filter(Boolean).join(' ') }
  return undefined
}

/** Ends a run that did not come to its commit; if the commit was faster than the cancel, the run has succeeded after all. */
async function giveUp(deps: EndDeps, run: PlacedRun, { fence }: ClaimedTask, ended: ErrorOutcome): Promise<Outcome> {
  const { catalog, log } = deps
  if (!run.dryRun) {
    const { committed } = await catalog.call('close-stage', { stage: run.id, fence })
    if (committed) {
      const reply = await sendCommit({ catalog, id: run.id, fence }, run)
      const unknown = { listComplete: true, skippedNames: [], companionsUnknown: 0 }
      const nothing = { bytesFetched: 0, bytesSaved: 0, tagsChecked: 0, failures: [], failureCount: 0, ...unknown }
      return succeed(deps, run, { ...reply, ...nothing })
    }
    await releaseLeases(deps, run)
  }
  log.info('sync run ended without a change', {
    runId: run.id,
    repository: run.repositoryName,
    remote: run.remoteName,
    code: ended.error.code,
    reason: ended.error.message,
  })
  await recordFailure(deps.db, run, ended.state, ended.error)
  return ended
}
