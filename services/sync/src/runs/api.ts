import { randomUUID } from 'node:crypto'
import type { CatalogCommands, CommandClient, TasksCommands } from '@berth/commands'
import { type ApiHandler, badField, notFound, type Page, type PageRequest, readPage, toPage } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { SyncRun } from '../db/generated/client.ts'
import { findRemote } from '../remotes/show.ts'

type SyncBody = {
  repository: string
  remote: string
  mode?: 'additive' | 'mirror'
  force?: boolean
  onError?: 'fail' | 'skip'
  dryRun?: boolean
}
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

function showRun(run: SyncRun): Record<string, unknown> {
  const { id, taskId, remoteName, repositoryName, mode, force, onError, dryRun, state, result, error } = run
  const iso = (time: Date | null) => time?.toISOString() ?? null
  return {
    id,
    task: taskId,
    remote: remoteName,
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

/** The API of sync runs. */
export function runHandlers(
  prisma: Prisma,
  catalog: CommandClient<CatalogCommands>,
  tasks: CommandClient<TasksCommands>,
): Record<string, ApiHandler> {
  return {
    startSync: async ({ body, principal, requestId }) => {
      const wanted = body as SyncBody
      if (wanted.force && wanted.mode !== 'mirror')
        throw badField('force', 'is for mirror only', 'An additive sync takes nothing away, so it needs no force.')
      const remote = await findRemote(prisma, wanted.remote)
      if (remote.upstreamName === null && remote.upstreamNames.length === 0)
        throw badField(
          'remote',
          `"${remote.name}" names a host and no repository of it`,
          'Set its upstreamName, or pull through it: POST /api/v1/distributions with pullThrough.',
        )
      if (remote.upstreamName === null)
        throw badField(
          'remote',
          `"${remote.name}" covers several repositories, which cannot be synced yet`,
          'Use a remote with upstreamName.',
        )
      const { repository } = await catalog.call('repository', { repository: wanted.repository }, { requestId })
      if (!repository) throw notFound('repository', wanted.repository)
      const [id, taskId] = [randomUUID(), randomUUID()]
      await prisma.syncRun.create({
        data: {
          id,
          taskId,
          remoteId: remote.id,
          remoteName: remote.name,
          repositoryId: repository.id,
          repositoryName: repository.name,
          mode: wanted.mode ?? 'additive',
          force: wanted.force ?? false,
          onError: wanted.onError ?? 'fail',
          dryRun: wanted.dryRun ?? false,
          actor: principal.name,
        },
      })
      // The run's row first: a worker that gets the task at once finds it. A row whose task was never made does nothing.
      const { task } = await tasks.call(
        'create',
        {
          id: taskId,
          kind: 'sync',
          payload: { runId: id },
          // A plan changes nothing, so it need not wait for whoever does.
          exclusive: wanted.dryRun ? [] : [`repository:${repository.id}:sync`],
          shared: [`remote:${remote.id}`],
          actor: principal.name,
        },
        { requestId },
      )
      return { status: 202, headers: { location: `/api/v1/tasks/${taskId}` }, body: task }
    },
    listSyncs: async ({ query }) => {
      const page = readPage(query)
      return { status: 200, body: await listRuns(prisma, page, query) }
    },
    showSync: async ({ params }) => {
      const id = params.sync ?? ''
      const run = uuid.test(id) ? await prisma.syncRun.findUnique({ where: { id } }) : null
      if (!run) throw notFound('sync', id)
      return { status: 200, body: showRun(run) }
    },
  }
}

async function listRuns(
  prisma: Prisma,
  page: PageRequest,
  query: Record<string, unknown>,
): Promise<Page<Record<string, unknown>>> {
  const [createdAt, id] = page.after?.split(' ') ?? []
  const before =
    createdAt && id
      ? { OR: [{ createdAt: { lt: new Date(createdAt) } }, { createdAt: new Date(createdAt), id: { lt: id } }] }
      : {}
  const rows = await prisma.syncRun.findMany({
    where: { ...before, ...(typeof query.repository === 'string' ? { repositoryName: query.repository } : {}) },
    orderBy: [{ createdAt: 'desc' }, { id: 'desc' }],
    take: page.limit + 1,
  })
  return toPage(rows, page, (row) => `${row.createdAt.toISOString()} ${row.id}`, showRun)
}
