import { setTimeout as delay } from 'node:timers/promises'
import type {
  CatalogCommands,
  ClaimedTask,
  CommandClient,
  TaskError,
  TaskProgress,
  TasksCommands,
} from '@berth/commands'
import { UpstreamError } from '@berth/registry-client'
import { deriveId, type Logger, Problem, type Sealer } from '@berth/service'
import { type Outcome, outcomeOfError, type Work } from '@berth/worker'
import type { Prisma } from '../db/client.ts'
import type { Remote } from '../db/generated/client.ts'
import type { HearAnswers } from '../observe/upstreams.ts'
import { openClient } from '../remotes/open-remote.ts'
import { type RunOptions, startRun } from '../runs/start-run.ts'
import { listRepositories, type Pair } from './upstream-repositories.ts'

export type GroupDeps = {
  prisma: Prisma
  sealer: Sealer
  catalog: CommandClient<CatalogCommands>
  tasks: CommandClient<TasksCommands>
  log: Logger
  hear?: HearAnswers
}
/**
 * What a task of kind `sync-group` carries. `targetPrefix` is the one that who started it was let in for: where the remote says now, it may
 * have no right. Absent of a task of an earlier release.
 */
export type GroupPayload = { remoteId: string; options: RunOptions; targetPrefix?: string | null }

type Failed = { repository: string; task?: string; code: string; message: string }

const lookEveryMs = 500
// A heartbeat comes each second.
const cancelHeardWithinMs = 3_000
const mostFailuresShown = 1_000

/**
 * Does the tasks of kind `sync-group`: one sync for each repository that a remote covers, each a task of its own. Begun again
 * it finds those that it has made, for their ids follow from its own.
 */
export function createGroupWork(deps: GroupDeps): Work {
  return async (task, { signal, report, note }) => {
    const { remoteId, options, ...started } = task.payload as GroupPayload
    const progress: TaskProgress = { phase: 'repositories', done: 0, total: null, unit: 'repositories' }
    report(() => [progress])
    try {
      const remote = await deps.prisma.remote.findUnique({ where: { id: remoteId } })
      if (!remote) throw new Problem(404, 'remote_not_found', 'The remote was deleted.')
      const { pairs: all, refused, isComplete } = await list(deps, { ...remote, ...started }, signal)
      const pairs = task.retry?.failedOnly ? await ofFailed(deps, task.retry.of, all) : all
      progress.total = pairs.length
      note(`${pairs.length} repositories are to be synced`)
      for (const pair of pairs) {
        signal.throwIfAborted()
        await startChild(deps, remote, task, { pair, options })
      }
      const failed = await waitForChildren(deps, task, progress, signal)
      for (const { repository, code, message } of failed) {
        note(`${repository} was not synced: ${code}`, { level: 'warn', detail: message })
      }
      return outcome({ repositories: pairs.length, isComplete }, [...refused.map(invalidName), ...failed], options)
    } catch (error) {
      const ended = outcomeOfError(error, {
        task,
        signal,
        log: deps.log,
        cancelled: 'The sync was cancelled.',
        explain: explainUpstream,
        isForeign: (reason) => reason instanceof UpstreamError,
      })
      // Those that were made while the cancel was on its way.
      if (ended.state === 'cancelled') await deps.tasks.call('cancel-children', { parent: task.id })
      return ended
    }
  }
}

async function list(deps: GroupDeps, remote: Remote, signal: AbortSignal) {
  const client = openClient(remote, deps.sealer, { onAnswer: deps.hear?.(remote) })
  try {
    const { upstreamNames, targetPrefix } = remote
    return await listRepositories(client, { upstreamNames, targetPrefix: targetPrefix ?? '' }, signal)
  } finally {
    await client.close()
  }
}

/** Those whose runs did not complete in another group. */
async function ofFailed({ prisma }: GroupDeps, group: string, pairs: readonly Pair[]): Promise<readonly Pair[]> {
  const completed = await prisma.syncRun.findMany({
    where: { parentTask: group, state: 'completed' },
    select: { upstreamName: true },
  })
  const done = new Set(completed.map(({ upstreamName }) => upstreamName))
  return pairs.filter(({ upstreamName }) => !done.has(upstreamName))
}

async function startChild(
  deps: GroupDeps,
  remote: Remote,
  task: ClaimedTask,
  { pair, options }: { pair: Pair; options: RunOptions },
): Promise<void> {
  const { repository } = await deps.catalog.call('find-repository', { repository: pair.target })
  await startRun(deps, {
    id: childId(task.id, pair, 'run'),
    taskId: childId(task.id, pair, 'task'),
    parentTask: task.id,
    remote,
    upstreamName: pair.upstreamName,
    repository: repository ?? { id: null, name: pair.target },
    actor: task.actor,
    options,
  })
}

/** The same for the same group and repository. */
function childId(parent: string, { upstreamName }: Pair, what: 'run' | 'task'): string {
  return deriveId(`${parent} ${what} ${upstreamName}`)
}

async function waitForChildren(
  { prisma }: GroupDeps,
  task: ClaimedTask,
  progress: TaskProgress,
  signal: AbortSignal,
): Promise<Failed[]> {
  for (;;) {
    const left = await prisma.syncRun.count({
      where: { parentTask: task.id, state: { in: ['waiting', 'running'] } },
    })
    progress.done = (progress.total ?? 0) - left
    if (left === 0) break
    await delay(lookEveryMs, undefined, { signal })
  }
  const failed = await prisma.syncRun.findMany({
    where: { parentTask: task.id, state: { not: 'completed' } },
    orderBy: { repositoryName: 'asc' },
  })
  // Those of a cancelled group end when it is cancelled, and its worker hears of that a moment later.
  if (failed.some((run) => run.state === 'cancelled')) await delay(cancelHeardWithinMs, undefined, { signal })
  return failed.map((run) => ({ repository: run.repositoryName, task: run.taskId, ...(run.error as TaskError) }))
}

function outcome(
  { repositories, isComplete }: { repositories: number; isComplete: boolean },
  failed: Failed[],
  { onError }: RunOptions,
): Outcome {
  const result = {
    repositories,
    listComplete: isComplete,
    completed: repositories - failed.filter((one) => one.task !== undefined).length,
    failed: failed.slice(0, mostFailuresShown),
    failureCount: failed.length,
  }
  if (failed.length === 0 || onError === 'skip') return { state: 'completed', result }
  // Those that cannot be taken by their names are no syncs, and so not among the repositories.
  const total = repositories + failed.filter((one) => one.task === undefined).length
  const names = failed.slice(0, 5).map((one) => one.repository)
  const more = failed.length > names.length ? ', and more' : ''
  const others = failed.length < total ? ' The others were.' : ''
  const message = `${failed.length} of ${total} repositories could not be synced: ${names.join(', ')}${more}.${others}`
  return { state: 'failed', result, error: { code: 'repositories_failed', message } }
}

function invalidName(upstreamName: string): Failed {
  return { repository: upstreamName, code: 'name_invalid', message: `${upstreamName} with its prefix is no name here.` }
}

function explainUpstream(error: unknown): TaskError | undefined {
  return error instanceof UpstreamError ? { code: `upstream_${error.code}`, message: error.message } : undefined
}
