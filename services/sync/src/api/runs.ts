import { randomUUID } from 'node:crypto'
import { type AccessObject, toSql } from '@berth/access'
import { type BlobStore, refuseBelowReserve } from '@berth/blobs'
import type { CatalogCommands, CommandClient, Task, TaskObject, TasksCommands } from '@berth/commands'
import {
  type Actor,
  actorOf,
  badField,
  type Database,
  deriveId,
  fitPage,
  type Handlers,
  isUuid,
  notSeen,
  type Page,
  type PageRequest,
  type Principal,
  Problem,
  readPage,
  requireVerb,
  timeAndIdAfter,
  toPage,
} from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { Remote } from '../db/generated/client.ts'
import type { GroupPayload } from '../groups/do-group.ts'
import type { operations } from '../openapi-types.ts'
import { findRemote } from '../remotes/show.ts'
import { type RunOptions, startRun } from '../runs/start-run.ts'
import { maySee, viewsOf } from './view-run.ts'

type SyncBody = {
  repository?: string
  remote: string
  mode?: 'additive' | 'mirror'
  force?: boolean
  onError?: 'fail' | 'skip'
  dryRun?: boolean
}

function optionsOf({ mode = 'additive', force = false, onError = 'fail', dryRun = false }: SyncBody): RunOptions {
  return { mode, force, onError, dryRun }
}

/** The API of sync runs. */
export function runHandlers({
  db,
  prisma,
  catalog,
  tasks,
  blobs,
}: {
  db: Database
  prisma: Prisma
  catalog: CommandClient<CatalogCommands>
  tasks: CommandClient<TasksCommands>
  blobs: BlobStore
}) {
  type Caller = { actor: Actor; requestId: string; taskId: string }
  const startOne = async (remote: Remote, wanted: SyncBody, { actor, requestId, taskId }: Caller): Promise<Task> => {
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
    const run = { id: deriveId(`${taskId} run`), taskId, remote, repository, actor, options: optionsOf(wanted) }
    return startRun({ prisma, tasks }, run, { requestId })
  }
  const startGroup = async (remote: Remote, wanted: SyncBody, { actor, requestId, taskId }: Caller): Promise<Task> => {
    if (wanted.repository !== undefined)
      throw badField(
        'repository',
        `does not apply: "${remote.name}" covers several repositories`,
        'Leave it away; each goes where targetPrefix says.',
      )
    const { id, name, ownerId, targetPrefix } = remote
    const payload: GroupPayload = { remoteId: id, options: optionsOf(wanted), targetPrefix }
    const on: TaskObject[] = [{ kind: 'remote', id, name, ownerId }]
    const request = { id: taskId, kind: 'sync-group', payload, shared: [`remote:${id}`], actor, on }
    // One at a time: the second would find everything locked by the first, repository by repository.
    const exclusive = wanted.dryRun ? [] : [`remote:${remote.id}:group`]
    return (await tasks.call('create-task', { ...request, exclusive }, { requestId })).task
  }
  return {
    startSync: async ({ body, principal, requestId, taskId = randomUUID() }) => {
      const wanted = body
      if (wanted.force && wanted.mode !== 'mirror')
        throw badField('force', 'is for mirror only', 'An additive sync takes nothing away, so it needs no force.')
      if (!wanted.dryRun) await refuseBelowReserve(blobs)
      const remote = await findRemote(prisma, wanted.remote)
      if (remote.upstreamName === null) requireTargets(principal, remote)
      if (remote.upstreamName === null && remote.upstreamNames.length === 0)
        throw badField(
          'remote',
          `"${remote.name}" names a host and no repository of it`,
          'Set its upstreamName, or pull through it: POST /api/v1/distributions with pullThrough.',
        )
      const task = await (remote.upstreamName === null ? startGroup : startOne)(remote, wanted, {
        actor: actorOf(principal),
        requestId,
        taskId,
      })
      return { status: 202, headers: { location: `/api/v1/tasks/${task.id}` }, body: task }
    },
    listSyncs: async ({ query, principal }) => {
      const page = readPage(query)
      return { status: 200, body: await listRuns({ db, prisma }, page, { repository: query.repository, principal }) }
    },
    showSync: async ({ params, principal }) => {
      const id = params.sync
      const run = isUuid(id) ? await prisma.syncRun.findUnique({ where: { id } }) : null
      if (!run || !maySee(principal, run)) throw notSeen('sync', id)
      return { status: 200, body: (await viewsOf(prisma, principal, [run]))[0] ?? {} }
    },
  } satisfies Partial<Handlers<operations>>
}

/** A group makes repositories as it finds them upstream: it needs the right to do so wherever they may come. */
function requireTargets(principal: Principal, { name, targetPrefix }: Remote): void {
  const target: AccessObject = { kind: 'repository', name: targetPrefix ? `${targetPrefix}/*` : '*' }
  for (const verb of ['push', 'repository.create'] as const) requireVerb(principal, verb, target, `sync all of ${name}`)
}

const newestFirst = [{ createdAt: 'desc' as const }, { id: 'desc' as const }]

async function listRuns(
  { db, prisma }: { db: Database; prisma: Prisma },
  page: PageRequest,
  filter: { repository: string | undefined; principal: Principal },
): Promise<Page<Record<string, unknown>>> {
  const after = timeAndIdAfter(page)
  const { id: caller, rights } = filter.principal
  const columns = { name: 'repository_name collate "C"', id: 'repository_id' }
  const readable = toSql(rights, 'read', 'repository', columns, 6)
  const keys = await db.query<{ id: string; listedBytes: number }>(
    `select id, listed_bytes as "listedBytes"
     from sync_run
     where ($1::timestamptz is null or (created_at, id) < ($1, $2::uuid))
       and ($3::text is null or repository_name = $3)
       and (actor_id = $4::uuid or ${readable.condition})
     order by created_at desc, id desc
     limit $5`,
    [after?.at ?? null, after?.id ?? null, filter.repository ?? null, caller, page.limit + 1, ...readable.values],
  )
  const fitting = fitPage(keys, page)
  const ids = fitting.rows.map((row) => row.id)
  const rows = await prisma.syncRun.findMany({ where: { id: { in: ids } }, orderBy: newestFirst })
  const views = await viewsOf(prisma, filter.principal, rows)
  const shown = rows.map((row, at) => ({ key: `${row.createdAt.toISOString()} ${row.id}`, view: views[at] ?? {} }))
  return toPage(
    shown,
    fitting.page,
    ({ key }) => key,
    ({ view }) => view,
  )
}
