import { startLoop } from '@berth/bus'
import type { ClaimedTask } from '@berth/commands'
import { Problem } from '@berth/service'
import type { Note, Outcome, Work } from '@berth/worker'
import { type Build, readBuild } from '../builds/build-row.ts'
import { recordStart } from '../builds/record-build.ts'
import type { Engine } from '../engines/engine.ts'
import { holderOf, leaseSeconds } from '../inputs/keep-context.ts'
import type { BuildMetrics } from '../observe/builds.ts'
import { type EndDeps, endByError, succeed } from './end-build.ts'
import { type RunDeps, runBuild } from './run-build.ts'

export type WorkDeps = EndDeps & RunDeps & { metrics: BuildMetrics; engine: () => Engine | undefined }

const renewEveryMs = 600_000

/** Does the tasks of kind `build`: one build each. */
export function createBuildWork(deps: WorkDeps): Work {
  return async (task, hooks) => {
    const { buildId } = task.payload as { buildId: string }
    const build = await readBuild(deps.db, buildId)
    if (!build) return { state: 'failed', error: { code: 'build_not_found', message: `There is no build ${buildId}.` } }
    if (task.retry) return { state: 'failed', error: goneInput }
    if (build.state === 'completed') return { state: 'completed', result: build.result }
    if (build.state !== 'waiting' && build.state !== 'running')
      return { state: build.state, error: build.error ?? goneInput }
    await recordStart(deps.db, build.id)
    deps.metrics.running(1)
    const startedAt = performance.now()
    try {
      const outcome = await doBuild(deps, build, task, hooks)
      deps.metrics.ended(outcome.state, (performance.now() - startedAt) / 1_000)
      return outcome
    } finally {
      deps.metrics.running(-1)
    }
  }
}

const goneInput = {
  code: 'build_input_gone',
  message:
    'What a build works with is removed at its end, so it cannot be tried again. Start it again: POST /api/v1/builds.',
}

type Hooks = { signal: AbortSignal; report: Parameters<Work>[1]['report']; note: Note }

async function doBuild(deps: WorkDeps, build: Build, task: ClaimedTask, hooks: Hooks): Promise<Outcome> {
  const engine = deps.engine()
  // Its task would not have been claimed; then it waits for one that has an engine.
  if (!engine) throw new Problem(503, 'no_build_engine', 'There is no engine to build with.')
  const holder = holderOf(build.id)
  const renewing = startLoop({
    pollMs: renewEveryMs,
    pauseAfterFailureMs: 10_000,
    onError: (error) => deps.log.warn('leases will be renewed again', { error }),
    run: async () => void (await deps.catalog.call('renew-leases', { holder, ttlSeconds: leaseSeconds })),
  })
  try {
    return await succeed(deps, build, await runBuild(deps, engine, { build, task, ...hooks }))
  } catch (error) {
    return await endByError(deps, build, task, error, hooks.signal)
  } finally {
    await renewing.stop()
  }
}
