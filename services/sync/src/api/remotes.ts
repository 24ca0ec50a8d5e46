import type { CatalogCommands, CommandClient } from '@berth/commands'
import { type Database, fitPage, type Handlers, type Logger, readPage, type Sealer, toPage } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import { refuseWhileNeeded } from '../on-demand/sources-in-use.ts'
import type { operations } from '../openapi-types.ts'
import { walkToRemote } from '../remotes/check/walk.ts'
import { resealRemotes } from '../remotes/reseal-remotes.ts'
import { findRemote, showRemote } from '../remotes/show.ts'
import { deleteRemote, insertRemote, updateRemote } from '../remotes/write.ts'

/** The API of remotes: where content comes from. */
export function remoteHandlers(deps: {
  db: Database
  prisma: Prisma
  sealer: Sealer
  catalog: CommandClient<CatalogCommands>
  log: Logger
}) {
  const { db, prisma, sealer, catalog, log } = deps
  return {
    listRemotes: async ({ query }) => {
      const page = readPage(query)
      const keys = await prisma.remote.findMany({
        where: {
          name: {
            ...(page.after === undefined ? {} : { gt: page.after }),
            ...(typeof query.q === 'string' ? { contains: query.q } : {}),
          },
        },
        select: { id: true, listedBytes: true },
        orderBy: { name: 'asc' },
        take: page.limit + 1,
      })
      const fitting = fitPage(keys, page)
      const ids = fitting.rows.map(({ id }) => id)
      const rows = await prisma.remote.findMany({ where: { id: { in: ids } }, orderBy: { name: 'asc' } })
      return { status: 200, body: toPage(rows, fitting.page, (row) => row.name, showRemote) }
    },
    createRemote: async ({ body, principal }) => {
      const id = await insertRemote({ db, sealer, actor: principal.name }, body)
      return {
        status: 201,
        headers: { location: `/api/v1/remotes/${id}` },
        body: showRemote(await findRemote(prisma, id)),
      }
    },
    showRemote: async ({ params }) => ({
      status: 200,
      body: showRemote(await findRemote(prisma, params.remote)),
    }),
    updateRemote: async ({ params, body, principal }) => {
      const { id } = await findRemote(prisma, params.remote)
      await updateRemote({ db, sealer, actor: principal.name }, id, body)
      return { status: 200, body: showRemote(await findRemote(prisma, id)) }
    },
    checkRemote: async ({ params }) => ({
      status: 200,
      body: await walkToRemote(await findRemote(prisma, params.remote), sealer),
    }),
    rotateRemoteKeys: async () => ({ status: 200, body: await resealRemotes(db, sealer, log) }),
    deleteRemote: async ({ params, query, principal }) => {
      const remote = await findRemote(prisma, params.remote)
      if (query.force !== true) await refuseWhileNeeded({ db, catalog }, remote)
      await deleteRemote(db, remote, principal.name)
      return { status: 204 }
    },
  } satisfies Partial<Handlers<operations>>
}
