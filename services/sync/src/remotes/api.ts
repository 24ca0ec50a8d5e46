import { type ApiHandler, type Database, type Logger, readPage, type Sealer, toPage } from '@berth/service'
import type { Prisma } from '../db/client.ts'
import { walkToRemote } from './check/walk.ts'
import type { RemoteBody } from './fields.ts'
import { resealRemotes } from './reseal-remotes.ts'
import { findRemote, showRemote } from './show.ts'
import { deleteRemote, insertRemote, updateRemote } from './write.ts'

/** The API of remotes: where content comes from. */
export function remoteHandlers(
  { db, prisma, sealer, log }: { db: Database; prisma: Prisma; sealer: Sealer; log: Logger },
  wake: () => void,
): Record<string, ApiHandler> {
  return {
    listRemotes: async ({ query }) => {
      const page = readPage(query)
      const rows = await prisma.remote.findMany({
        where: {
          name: {
            ...(page.after === undefined ? {} : { gt: page.after }),
            ...(typeof query.q === 'string' ? { contains: query.q } : {}),
          },
        },
        orderBy: { name: 'asc' },
        take: page.limit + 1,
      })
      return { status: 200, body: toPage(rows, page, (row) => row.name, showRemote) }
    },
    createRemote: async ({ body, principal }) => {
      const id = await insertRemote({ db, sealer, actor: principal.name }, body as RemoteBody)
      wake()
      return {
        status: 201,
        headers: { location: `/api/v1/remotes/${id}` },
        body: showRemote(await findRemote(prisma, id)),
      }
    },
    showRemote: async ({ params }) => ({
      status: 200,
      body: showRemote(await findRemote(prisma, params.remote ?? '')),
    }),
    updateRemote: async ({ params, body, principal }) => {
      const { id } = await findRemote(prisma, params.remote ?? '')
      await updateRemote({ db, sealer, actor: principal.name }, id, body as Partial<RemoteBody>)
      wake()
      return { status: 200, body: showRemote(await findRemote(prisma, id)) }
    },
    checkRemote: async ({ params }) => ({
      status: 200,
      body: await walkToRemote(await findRemote(prisma, params.remote ?? ''), sealer),
    }),
    rotateRemoteKeys: async () => ({ status: 200, body: await resealRemotes(db, sealer, log) }),
    deleteRemote: async ({ params, principal }) => {
      await deleteRemote(db, await findRemote(prisma, params.remote ?? ''), principal.name)
      wake()
      return { status: 204 }
    },
  }
}
