import type { CommandClient, Task, TasksCommands } from '@berth/commands'
import type { Actor } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { Remote } from '../db/generated/client.ts'

/** How a run is to be done. */
export type RunOptions = {
  mode: 'additive' | 'mirror'
  force: boolean
  onError: 'fail' | 'skip'
  dryRun: boolean
}
type Wanted = {
  id: string
  taskId: string
  parentTask?: string
  remote: Remote
  upstreamName?: string
  /** Without an id it is made with its first content. */
  repository: { id: string | null; name: string; ownerId?: string | null }
  actor: Actor
  options: RunOptions
}

/** Notes a run and queues its task; the same ids again are the same run and task. */
export async function startRun(
  { prisma, tasks }: { prisma: Prisma; tasks: CommandClient<TasksCommands> },
  { id, taskId, parentTask, remote, upstreamName, repository, actor, options }: Wanted,
  call: { requestId?: string } = {},
): Promise<Task> {
  // The run's row first: a worker that gets the task at once finds it. A row whose task was never made does nothing.
  await prisma.syncRun.createMany({
    data: [
      {
        id,
        taskId,
        parentTask: parentTask ?? null,
        remoteId: remote.id,
        remoteName: remote.name,
        upstreamName: upstreamName ?? null,
        repositoryId: repository.id,
        repositoryName: repository.name,
        ...options,
        actor: actor.name,
        actorId: actor.id,
      },
    ],
    skipDuplicates: true,
  })
  const { task } = await tasks.call(
    'create-task',
    {
      id: taskId,
      kind: 'sync',
      payload: { runId: id },
      // A plan changes nothing, so it need not wait for a run that does.
      exclusive: options.dryRun ? [] : locksOf(repository),
      shared: [`remote:${remote.id}`],
      actor,
      on: [
        { kind: 'repository', id: repository.id, name: repository.name, ownerId: repository.ownerId ?? null },
        { kind: 'remote', id: remote.id, name: remote.name, ownerId: remote.ownerId },
      ],
      ...(parentTask === undefined ? {} : { parent: parentTask }),
    },
    call,
  )
  return task
}

/** One that is not there yet is known by its name alone. */
function locksOf({ id, name }: Wanted['repository']): string[] {
  return [`repository-name:${name}:sync`, ...(id === null ? [] : [`repository:${id}:sync`])]
}
