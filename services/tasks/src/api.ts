import {
  badCursor,
  type Database,
  fitPage,
  type Handlers,
  isUuid,
  notFound,
  type Principal,
  Problem,
  type RequestOf,
  readPage,
  toPage,
} from '@berth/service'
import type { Prisma } from './db/client.ts'
import type { operations } from './openapi-types.ts'
import { cancelTask } from './queue/cancel.ts'
import { hasEnded, showTask, type TaskRow } from './queue/row.ts'
import type { Changes } from './watch/changes.ts'
import { streamTask } from './watch/stream.ts'

/** The API of tasks. Users see the tasks that they started, administrators all of them. */
export function taskHandlers(db: Database, prisma: Prisma, changes: () => Changes) {
  const find = async (id: string, principal: Principal): Promise<TaskRow> => {
    const row = isUuid(id) ? await prisma.task.findFirst({ where: { id, ...visibleTo(principal) } }) : null
    if (!row) throw notFound('task', id)
    return row
  }
  return {
    listTasks: async ({ query, principal }) => ({ status: 200, body: await listTasks(prisma, query, principal) }),
    showTask: async ({ params, principal }) => ({
      status: 200,
      body: showTask(await find(params.task, principal)),
    }),
    cancelTask: async ({ params, principal }) => {
      const { id } = await find(params.task, principal)
      const task = showTask(await cancelTask(db, id))
      // A running task ends once its worker has stopped: 202 says that it is not there yet.
      return hasEnded(task.state)
        ? { status: 200, body: task }
        : { status: 202, body: task, headers: { location: `/api/v1/tasks/${id}` } }
    },
    watchTask: async (request) => {
      const row = await find(request.params.task, request.principal)
      streamTask(request, showTask(row), changes())
      return undefined
    },
  } satisfies Handlers<operations>
}

function visibleTo(principal: Principal): { actorId?: string } {
  return principal.admin ? {} : { actorId: principal.id }
}

async function listTasks(prisma: Prisma, query: RequestOf<operations['listTasks']>['query'], principal: Principal) {
  const page = readPage(query)
  if (page.after !== undefined && !/^\d{1,18}$/.test(page.after)) throw badCursor()
  const { state, kind, parent, q } = query
  const keys = await prisma.task.findMany({
    where: {
      ...visibleTo(principal),
      ...(state === undefined ? {} : { state }),
      ...(kind === undefined ? {} : { kind }),
      ...(parent === undefined ? {} : { parent }),
      ...(page.after === undefined ? {} : { seq: { lt: BigInt(page.after) } }),
      ...(q === undefined
        ? {}
        : { OR: [{ kind: { contains: q } }, { actor: { contains: q } }, { resources: { has: q } }] }),
    },
    select: { id: true, listedBytes: true },
    orderBy: { seq: 'desc' },
    take: page.limit + 1,
  })
  const fitting = fitPage(keys, page)
  const ids = fitting.rows.map(({ id }) => id)
  const rows = await prisma.task.findMany({ where: { id: { in: ids } }, orderBy: { seq: 'desc' } })
  return toPage(rows, fitting.page, (row) => String(row.seq), showTask)
}

/** What a request gets that comes before the service is up. */
export function notStarted(): Problem {
  return new Problem(503, 'starting', 'The tasks service is starting.', { headers: { 'retry-after': '1' } })
}
