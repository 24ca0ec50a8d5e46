import { decide } from '@berth/access'
import { type Principal, withoutMessages } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { SyncRun } from '../db/generated/client.ts'

type RunView = Record<string, unknown>

/** A run is seen by who started it, and by who may see the repository. */
export function maySee(caller: Principal, { actorId, repositoryId, repositoryName }: SyncRun): boolean {
  const id = repositoryId ?? undefined
  return (
    actorId === caller.id || decide(caller.rights, 'read', { kind: 'repository', id, name: repositoryName }).allowed
  )
}

/**
 * Runs as a caller may see them. Where content came from and what was said there is for those who may use the remote, and for who
 * started the run and so could; others see that it ran, into what, and how it ended. Reads the remotes of all of them at once.
 */
export async function viewsOf(prisma: Prisma, caller: Principal, runs: readonly SyncRun[]): Promise<RunView[]> {
  const others = runs.filter(({ actorId }) => actorId !== caller.id)
  const remotes = await prisma.remote.findMany({
    where: { id: { in: [...new Set(others.map(({ remoteId }) => remoteId))] } },
    select: { id: true, name: true, ownerId: true },
  })
  const byId = new Map(remotes.map((remote) => [remote.id, remote]))
  const mayUse = ({ actorId, remoteId, remoteName: name }: SyncRun) => {
    if (actorId === caller.id) return true
    // Of one that is gone rights by its name are left.
    return decide(caller.rights, 'remote.use', { kind: 'remote', ...(byId.get(remoteId) ?? { name }) }).allowed
  }
  return runs.map((run) => (mayUse(run) ? showRun(run) : withoutSource(showRun(run))))
}

function withoutSource(view: RunView): RunView {
  return {
    ...view,
    remote: null,
    upstreamName: null,
    result: withoutMessages(view.result),
    error: withoutMessages(view.error),
  }
}

function showRun(run: SyncRun): RunView {
  const { id, taskId, parentTask, remoteName, upstreamName, repositoryName, mode, force, onError, dryRun } = run
  const { state, result, error } = run
  const iso = (time: Date | null) => time?.toISOString() ?? null
  return {
    id,
    task: taskId,
    parent: parentTask,
    remote: remoteName,
    upstreamName,
    repository: repositoryName,
    mode,
    force,
    onError,
    dryRun,
    state,
    result,
    error,
    createdAt: iso(run.createdAt),
    startedAt: iso(run.startedAt),
    finishedAt: iso(run.finishedAt),
  }
}
