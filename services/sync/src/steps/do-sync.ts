import { startLoop } from '@berth/bus'
import type { AuthCommands, ClaimedTask, CommandClient } from '@berth/commands'
import type { UpstreamError } from '@berth/registry-client'
import type { Sealer } from '@berth/service'
import type { Note, Outcome, Work } from '@berth/worker'
import { createFailures } from '../fetch/failures.ts'
import { leaseSeconds } from '../fetch/lease-blobs.ts'
import { createProgressView, newProgress, type Progress } from '../fetch/progress.ts'
import { createProofs } from '../fetch/proofs.ts'
import type { RunMetrics, RunResult } from '../observe/runs.ts'
import type { HearAnswers } from '../observe/upstreams.ts'
import { openRemote } from '../remotes/open-remote.ts'
import { announceProgress } from './announce-progress.ts'
import { type EndDeps, endByError, gone, holderOf, succeed } from './end-sync.ts'
import { ensureRetry } from './ensure-retry.ts'
import type { RunDeps } from './find-content.ts'
import { nowhere, type PlacedRun } from './placed-run.ts'
import { planSync } from './plan-sync.ts'
import { recordPlan, recordStart } from './record-run.ts'
import type { SyncResult } from './results.ts'
import { requireRunRights } from './run-rights.ts'
import { runSync } from './run-sync.ts'

export type SyncDeps = EndDeps & {
  sealer: Sealer
  auth: CommandClient<AuthCommands>
  blobs: RunDeps['store']['blobs']
  hear?: HearAnswers
  runMetrics?: RunMetrics
}

const renewEveryMs = 600_000
// Docker Hub counts in windows of six hours; a run waits for the next one.
const longestPauseMs = 7 * 3_600_000
const mostRetriesNoted = 1_000

/** Does the tasks of kind `sync`: one run each. */
export function createSyncWork(deps: SyncDeps): Work {
  const { db, prisma } = deps
  return async (task, { signal, report, note }) => {
    const { runId } = task.payload as { runId: string }
    const first = await prisma.syncRun.findUnique({ where: { id: runId } })
    const found = first && task.retry ? await ensureRetry(prisma, first, task) : first
    if (!found) return { state: 'failed', error: { code: 'run_not_found', message: `There is no sync run ${runId}.` } }
    const run: PlacedRun = { ...found, repositoryId: found.repositoryId ?? nowhere }
    if (run.state === 'completed') return { state: 'completed', result: run.result }
    await recordStart(db, run)
    const progress = newProgress()
    report(createProgressView(progress))
    const startedAt = performance.now()
    const outcome = await doRun(deps, run, task, { progress, signal, note })
    if (!run.dryRun) deps.runMetrics?.ended(resultOf(outcome), (performance.now() - startedAt) / 1_000)
    return outcome
  }
}

function resultOf({ state, result }: Outcome): RunResult {
  const failures = (result as Partial<SyncResult> | undefined)?.failureCount ?? 0
  return state === 'completed' && failures > 0 ? 'partial' : state
}

type Hooks = { progress: Progress; signal: AbortSignal; note: Note }

/** Does a run, or the plan of one, and notes how it ended. */
async function doRun(deps: SyncDeps, run: PlacedRun, task: ClaimedTask, hooks: Hooks): Promise<Outcome> {
  try {
    if (!run.dryRun) return await succeed(deps, run, await sync(deps, run, task, hooks))
    const result = await withRemote(deps, run, task, hooks, planSync)
    await recordPlan(deps.db, run, result)
    return { state: 'completed', result }
  } catch (error) {
    return await endByError(deps, run, task, error, hooks.signal)
  }
}

async function sync(deps: SyncDeps, run: PlacedRun, task: ClaimedTask, hooks: Hooks): Promise<SyncResult> {
  const announcing = announceProgress(deps, run, hooks.progress)
  try {
    return await withRemote(deps, run, task, hooks, runSync)
  } finally {
    await announcing.stop()
  }
}

/** Tells the first of what is tried again, so that an upstream in trouble leaves room in the log for what came of it. */
function noteRetries(note: Note): (error: UpstreamError) => void {
  let count = 0
  return ({ code, message }) => {
    count++
    if (count > mostRetriesNoted) return
    note(`tried again: upstream_${code}`, { level: 'warn', detail: message })
    if (count === mostRetriesNoted) note('what is tried again is told no more')
  }
}

/** Opens the remote of a run for as long as the work takes, and keeps the run's leases. */
async function withRemote<T>(
  { db, prisma, sealer, catalog, auth, blobs, log, hear }: SyncDeps,
  run: PlacedRun,
  { fence }: ClaimedTask,
  { progress, signal, note }: Hooks,
  work: (deps: RunDeps, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const remote = await prisma.remote.findUnique({ where: { id: run.remoteId } })
  if (!remote) throw gone('remote', run.remoteName, undefined)
  const requireRights = (signal: AbortSignal) => requireRunRights({ auth, catalog }, run, remote, signal)
  await requireRights(signal)
  const open = openRemote(remote, sealer, {
    ...(run.upstreamName === null ? {} : { upstreamName: run.upstreamName }),
    longestPauseMs,
    onAnswer: hear?.(remote),
    onPause: (pause) => {
      if (progress.pause?.until.getTime() !== pause.until.getTime())
        note(`upstream is left alone until ${pause.until.toISOString()}`, { level: 'warn', detail: pause.reason })
      progress.pause = pause
    },
    onRetry: noteRetries(note),
  })
  const holder = holderOf(run)
  const { platforms, includeForeignLayers } = remote
  const place = { remoteId: remote.id, repository: open.repository, target: run }
  const onSkipped = (what: string, { code, message }: { code: string; message: string }) =>
    note(`${what} is skipped: ${code}`, { level: 'warn', detail: message })
  const runDeps: RunDeps = {
    db,
    run,
    remote,
    requireRights,
    note,
    catalog,
    upstream: { ...open, proofs: createProofs({ db, catalog }, place) },
    store: { catalog, blobs, holder },
    stage: { catalog, id: run.id, fence },
    options: { platforms, includeForeignLayers, isPlan: run.dryRun },
    report: { progress, failures: createFailures(run.onError === 'skip' ? 'skip' : 'fail', onSkipped) },
  }
  const renewing = startLoop({
    pollMs: renewEveryMs,
    pauseAfterFailureMs: 10_000,
    onError: (error) => log.warn('leases will be renewed again', { error }),
    run: async () => void (await catalog.call('renew-leases', { holder, ttlSeconds: leaseSeconds })),
  })
  try {
    return await work(runDeps, signal)
  } finally {
    await renewing.stop()
    await open.client.close()
  }
}
