import {
  badCursor,
  type Handlers,
  isUuid,
  notFound,
  type Principal,
  type RequestOf,
  readPage,
  toPage,
} from '@berth/service'
import type { Prisma } from './db/client.ts'
import type { operations } from './openapi-types.ts'

type BuildRow = {
  id: string
  repository: string
  tag: string
  state: string
  taskId: string | null
  version: number | null
  createdAt: Date
  createdBy: string
  createdById: string | null
  finishedAt: Date | null
}

function showBuild(row: BuildRow) {
  return {
    id: row.id,
    repository: row.repository,
    tag: row.tag,
    state: row.state,
    task: row.taskId,
    version: row.version,
    createdAt: row.createdAt.toISOString(),
    createdBy: row.createdBy,
    createdById: row.createdById,
    finishedAt: row.finishedAt?.toISOString() ?? null,
  }
}

/** The API of builds. Users see the builds that they started, administrators all of them. */
export function buildHandlers(prisma: Prisma) {
  return {
    listBuilds: async ({ query, principal }) => ({ status: 200, body: await listBuilds(prisma, query, principal) }),
    showBuild: async ({ params, principal }) => {
      const id = params.build
      const row = isUuid(id) ? await prisma.build.findFirst({ where: { id, ...visibleTo(principal) } }) : null
      if (!row) throw notFound('build', id)
      return { status: 200, body: showBuild(row) }
    },
  } satisfies Handlers<operations>
}

function visibleTo(principal: Principal): { createdById?: string } {
  return principal.admin ? {} : { createdById: principal.id }
}

async function listBuilds(prisma: Prisma, query: RequestOf<operations['listBuilds']>['query'], principal: Principal) {
  const page = readPage(query)
  if (page.after !== undefined && !/^\d{1,18}$/.test(page.after)) throw badCursor()
  const { repository, q } = query
  const rows = await prisma.build.findMany({
    where: {
      ...visibleTo(principal),
      AND: [
        ...(repository === undefined ? [] : [{ repository }]),
        ...(q === undefined ? [] : [{ repository: { contains: q } }]),
      ],
      ...(page.after === undefined ? {} : { seq: { lt: BigInt(page.after) } }),
    },
    orderBy: { seq: 'desc' },
    take: page.limit + 1,
  })
  return toPage(rows, page, (row) => String(row.seq), showBuild)
}
