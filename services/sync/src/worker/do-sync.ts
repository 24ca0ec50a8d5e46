import { type BlobStore, BlobStoreError } from '@berth/blobs'
import { startLoop } from '@berth/bus'
import type { CatalogCommands, ClaimedTask, CommandClient, TaskError } from '@berth/commands'
import { UpstreamError } from '@berth/registry-client'
import { type Database, type Logger, Problem, type Sealer } from '@berth/service'
import { type ErrorOutcome, type Outcome, outcomeOfError, TaskLost, type Work } from '@berth/worker'
import { leaseSeconds } from '../copy/copy-manifests.ts'
import { shortened } from '../copy/failures.ts'
import { createProgressView, newProgress } from '../copy/progress.ts'
import type { Prisma } from '../db/client.ts'
import type { RunMetrics, RunResult } from '../observe/runs.ts'
import type { HearAnswers } from '../observe/upstreams.ts'
import { openRemote } from '../remotes/open-remote.ts'
import { announceProgress } from '../runs/announce-progress.ts'
import { sendCommit } from '../runs/commit-run.ts'
import { nowhere, type PlacedRun } from '../runs/placed-run.ts'
import { recordFailure, recordPlan, recordStart, recordSuccess } from '../runs/record-run.ts'
import { holderOf, planSync, type Running, runSync, type SyncResult } from '../runs/run-sync.ts'

export type SyncParts = {
  db: Database
  prisma: Prisma
  sealer: Sealer
  catalog: CommandClient<CatalogCommands>
  blobs: BlobStore
  log: Logger
  hear?: HearAnswers
  runMetrics?: RunMetrics
}

const renewEveryMs = 600_000
// Docker Hub counts in windows of six hours; a run waits for the next one.
const longestPauseMs = 7 * 3_600_000

/** Does the tasks of kind `sync`. */
export function createSyncWork(parts: SyncParts): Work {
  const { db, prisma } = parts
  return async (task, { signal, report }) => {
    const { runId } = task.payload as { runId: string }
    const found = await prisma.syncRun.findUnique({ where: { id: runId } })
    if (!found) return { state: 'failed', error: { code: 'run_not_found', message: `There is no sync run ${runId}.` } }
    const run: PlacedRun = { ...found, repositoryId: found.repositoryId ?? nowhere }
    if (run.state === 'completed') return { state: 'completed', result: run.result }
    await recordStart(db, run)
    const progress = newProgress()
    report(createProgressView(progress))
    const startedAt = performance.now()
    const outcome = await end(parts, run, task, { progress, signal })
    if (!run.dryRun) parts.runMetrics?.ended(resultOf(outcome), (performance.now() - startedAt) / 1_000)
    return outcome
  }
}

function resultOf({ state, result }: Outcome): RunResult {
  const failures = (result as Partial<SyncResult> | undefined)?.failureCount ?? 0
  return state === 'completed' && failures > 0 ? 'partial' : state
}

/** Does a run, or the plan of one, and notes how it ended. */
async function end(parts: SyncParts, run: PlacedRun, task: ClaimedTask, hooks: Hooks): Promise<Outcome> {
  const { signal } = hooks
  try {
    if (run.dryRun) return await plan(parts, run, task, hooks)
    return await succeed(parts, run, await copy(parts, run, task, hooks))
  } catch (error) {
    const reason = signal.aborted ? signal.reason : await whatIsGone(parts, run, error)
    // Throws what leaves stage and run as they are: the task is tried again, and that goes on from what is stored.
    const ended = outcomeOfError(reason, { task, signal, log: parts.log, cancelled, explain, isForeign })
    return await giveUp(parts, run, task, ended).catch((cause: unknown) => {
      // Whether the commit won is catalog's to say, and it did not. Neither end may be told: the next worker of the task asks again.
      throw new TaskLost('the end of a sync run could not be recorded', { cause })
    })
  }
}

/** What is deleted while it is synced ends the run, by whatever then failed first: that is told, and not this. */
async function whatIsGone({ prisma }: SyncParts, run: PlacedRun, error: unknown): Promise<unknown> {
  if (error instanceof UpstreamError || error instanceof BlobStoreError) return error
  if (error instanceof Problem && error.code === 'repository_not_found' && run.repositoryId !== nowhere)
    return gone('repository', run.repositoryName, error)
  const remote = await prisma.remote.findUnique({ where: { id: run.remoteId } }).catch(() => 'away')
  return remote ? error : gone('remote', run.remoteName, error)
}

function gone(what: 'repository' | 'remote', name: string, cause: unknown): Problem {
  return new Problem(404, `${what}_not_found`, `The ${what} "${name}" was deleted.`, {
    hint: 'Nothing of this sync is visible.',
    cause,
  })
}

type Hooks = { progress: ReturnType<typeof newProgress>; signal: AbortSignal }

async function copy(parts: SyncParts, run: PlacedRun, task: ClaimedTask, hooks: Hooks): Promise<SyncResult> {
  const announcing = announceProgress(parts, run, hooks.progress)
  try {
    return await withRemote(parts, run, task, hooks, runSync)
  } finally {
    await announcing.stop()
  }
}

async function plan(parts: SyncParts, run: PlacedRun, task: ClaimedTask, hooks: Hooks): Promise<Outcome> {
  const result = await withRemote(parts, run, task, hooks, planSync)
  await recordPlan(parts.db, run, result)
  return { state: 'completed', result }
}

async function withRemote<T>(
  parts: SyncParts,
  run: PlacedRun,
  task: ClaimedTask,
  hooks: Hooks,
  work: (running: Running) => Promise<T>,
): Promise<T> {
  const remote = await parts.prisma.remote.findUnique({ where: { id: run.remoteId } })
  if (!remote) throw gone('remote', run.remoteName, undefined)
  const open = openRemote(remote, parts.sealer, {
    ...(run.upstreamName === null ? {} : { upstreamName: run.upstreamName }),
    longestPauseMs,
    onAnswer: parts.hear?.(remote),
    onPause: (pause) => {
      hooks.progress.pause = pause
    },
  })
  const renewing = startLoop({
    pollMs: renewEveryMs,
    pauseAfterFailureMs: 10_000,
    onError: (error) => parts.log.warn('leases will be renewed again', { error }),
    run: async () =>
      void (await parts.catalog.call('renew-leases', { holder: holderOf(run), ttlSeconds: leaseSeconds })),
  })
  try {
    return await work({
      db: parts.db,
      run,
      remote,
      open,
      fence: task.fence,
      catalog: parts.catalog,
      blobs: parts.blobs,
      ...hooks,
    })
  } finally {
    await renewing.stop()
    await open.client.close()
  }
}

/** Gives the leases back. Not heard, they run out by themselves: no reason to call a run anything but what it was. */
async function release({ catalog, log }: SyncParts, run: PlacedRun): Promise<void> {
  try {
    await catalog.call('release-leases', { holder: holderOf(run) })
  } catch (error) {
    log.warn('leases are left to run out', { runId: run.id, error })
  }
}

async function succeed(parts: SyncParts, run: PlacedRun, result: SyncResult): Promise<Outcome> {
  await recordSuccess(parts.db, run, result)
  await release(parts, run)
  parts.log.info('repository synced', {
    repository: run.repositoryName,
    remote: run.remoteName,
    version: result.version,
    created: result.created,
    bytesFetched: result.bytesFetched,
    failures: result.failureCount,
  })
  return { state: 'completed', result }
}

/** Ends a run that did not come to its commit; if the commit was faster than the cancel, the run has succeeded after all. */
async function giveUp(parts: SyncParts, run: PlacedRun, task: ClaimedTask, ended: ErrorOutcome): Promise<Outcome> {
  if (!run.dryRun) {
    const { committed } = await parts.catalog.call('close-stage', { stage: run.id, fence: task.fence })
    if (committed) {
      const reply = await sendCommit(parts.catalog, run, task.fence)
      return succeed(parts, run, {
        ...reply,
        bytesFetched: 0,
        bytesSaved: 0,
        tagsChecked: 0,
        failures: [],
        failureCount: 0,
      })
    }
    await release(parts, run)
  }
  const { state, error } = ended
  parts.log.info('sync run ended without a change', {
    runId: run.id,
    repository: run.repositoryName,
    remote: run.remoteName,
    code: error.code,
    reason: error.message,
  })
  await recordFailure(parts.db, run, state, error)
  return ended
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
