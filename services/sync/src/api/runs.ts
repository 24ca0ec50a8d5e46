import { randomUUID } from 'node:crypto'
import { type BlobStore, refuseBelowReserve } from '@berth/blobs'
import type { CatalogCommands, CommandClient, Task, TasksCommands } from '@berth/commands'
import {
  badField,
  fitPage,
  type Handlers,
  notFound,
  type Page,
  type PageRequest,
  Problem,
  readPage,
  timeAndIdAfter,
  toPage,
} from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { Remote, SyncRun } from '../db/generated/client.ts'
import type { GroupPayload } from '../groups/do-group.ts'
import type { operations } from '../openapi-types.ts'
import { findRemote } from '../remotes/show.ts'
import { type RunOptions, startRun } from '../runs/start-run.ts'

type SyncBody = {
  repository?: string
  remote: string
  mode?: 'additive' | 'mirror'
  force?: boolean
  onError?: 'fail' | 'skip'
  dryRun?: boolean
}
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

function optionsOf({ mode = 'additive', force = false, onError = 'fail', dryRun = false }: SyncBody): RunOptions {
  return { mode, force, onError, dryRun }
}

function showRun(run: SyncRun): Record<string, unknown> {
  const {
    id,
    taskId,
    parentTask,
    remoteName,
    upstreamName,
    repositoryName,
    mode,
    force,
    onError,
    dryRun,
    state,
    result,
    error,
  } = run
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

/** The API of sync runs. */
export function runHandlers({
  prisma,
  catalog,
  tasks,
  blobs,
}: {
  prisma: Prisma
  catalog: CommandClient<CatalogCommands>
  tasks: CommandClient<TasksCommands>
  blobs: BlobStore
}) {
  type Caller = { actor: string; requestId: string }
  const startOne = async (remote: Remote, wanted: SyncBody, { actor, requestId }: Caller): Promise<Task> => {
    if (wanted.repository === undefined)
      throw badField(
        'repository',
        'is missing',
        `"${remote.name}" has one repository upstream; say which one here it goes into.`,
      )
    const { repository } = await catalog.call('find-repository', { repository: wanted.repository }, { requestId })
    if (!repository)
      throw new Problem(
        404,
        'repository_not_found',
        `There is no repository "${wanted.repository}", or you may not see it.`,
        {
          field: 'repository',
          hint: 'Make it first: POST /api/v1/repositories.',
        },
      )
    const run = { id: randomUUID(), taskId: randomUUID(), remote, repository, actor, options: optionsOf(wanted) }
    return startRun({ prisma, tasks }, run, { requestId })
  }
  const startGroup = async (remote: Remote, wanted: SyncBody, { actor, requestId }: Caller): Promise<Task> => {
    if (wanted.repository !== undefined)
      throw badField(
        'repository',
        `does not apply: "${remote.name}" covers several repositories`,
        'Leave it away; each goes where targetPrefix says.',
      )
    const payload: GroupPayload = { remoteId: remote.id, options: optionsOf(wanted) }
    const request = { id: randomUUID(), kind: 'sync-group', payload, shared: [`remote:${remote.id}`], actor }
    // One at a time: the second would find everything locked by the first, repository by repository.
    const exclusive = wanted.dryRun ? [] : [`remote:${remote.id}:group`]
    return (await tasks.call('create-task', { ...request, exclusive }, { requestId })).task
  }
  return {
    startSync: async ({ body, principal, requestId }) => {
      const wanted = body
      if (wanted.force && wanted.mode !== 'mirror')
        throw badField('force', 'is for mirror only', 'An additive sync takes nothing away, so it needs no force.')
      if (!wanted.dryRun) await refuseBelowReserve(blobs)
      const remote = await findRemote(prisma, wanted.remote)
      if (remote.upstreamName === null && remote.upstreamNames.length === 0)
        throw badField(
          'remote',
          `"${remote.name}" names a host and no repository of it`,
          'Set its upstreamName, or pull through it: POST /api/v1/distributions with pullThrough.',
        )
      const task = await (remote.upstreamName === null ? startGroup : startOne)(remote, wanted, {
        actor: principal.name,
        requestId,
      })
      return { status: 202, headers: { location: `/api/v1/tasks/${task.id}` }, body: task }
    },
    listSyncs: async ({ query }) => {
      const page = readPage(query)
      return { status: 200, body: await listRuns(prisma, page, query) }
    },
    showSync: async ({ params }) => {
      const id = params.sync
      const run = uuid.test(id) ? await prisma.syncRun.findUnique({ where: { id } }) : null
      if (!run) throw notFound('sync', id)
      return { status: 200, body: showRun(run) }
    },
  } satisfies Partial<Handlers<operations>>
}

const newestFirst = [{ createdAt: 'desc' as const }, { id: 'desc' as const }]

async function listRuns(
  prisma: Prisma,
  page: PageRequest,
  query: Record<string, unknown>,
): Promise<Page<Record<string, unknown>>> {
  const after = timeAndIdAfter(page)
  const at = after && new Date(after.at)
  const before = after && at ? { OR: [{ createdAt: { lt: at } }, { createdAt: at, id: { lt: after.id } }] } : {}
  const keys = await prisma.syncRun.findMany({
    where: { ...before, ...(typeof query.repository === 'string' ? { repositoryName: query.repository } : {}) },
    select: { id: true, listedBytes: true },
    orderBy: newestFirst,
    take: page.limit + 1,
  })
  const fitting = fitPage(keys, page)
  const ids = fitting.rows.map((row) => row.id)
  const rows = await prisma.syncRun.findMany({ where: { id: { in: ids } }, orderBy: newestFirst })
  return toPage(rows, fitting.page, (row) => `${row.createdAt.toISOString()} ${row.id}`, showRun)
}
