import type { ClaimedTask } from '@berth/commands'
import { deriveId } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { SyncRun } from '../db/generated/client.ts'

type Failure = { tag?: string }

/**
 * The run of a task that tries another run again: made at its first attempt, found at later ones. What failed is told by the other run; where
 * that lists less than all of it, or a failure that no tag explains, all is tried again.
 */
export async function ensureRetry(prisma: Prisma, first: SyncRun, task: ClaimedTask): Promise<SyncRun | null> {
  const id = deriveId(`${task.id} run`)
  const { remoteId, remoteName, repositoryId, repositoryName, upstreamName, mode, force, onError, dryRun } = first
  await prisma.syncRun.createMany({
    data: [
      {
        id,
        taskId: task.id,
        remoteId,
        remoteName,
        repositoryId,
        repositoryName,
        upstreamName,
        mode,
        force,
        onError,
        dryRun,
        onlyTags: task.retry?.failedOnly ? failedTags(first) : [],
        actor: task.actor.name,
        actorId: task.actor.id,
      },
    ],
    skipDuplicates: true,
  })
  return prisma.syncRun.findUnique({ where: { id } })
}

function failedTags({ result }: SyncRun): string[] {
  const { failures = [], failureCount = 0 } = (result ?? {}) as { failures?: Failure[]; failureCount?: number }
  const tags = failures.flatMap(({ tag }) => (tag === undefined ? [] : [tag]))
  return tags.length === failureCount ? tags : []
}
