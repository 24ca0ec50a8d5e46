import {
  type ApiReply,
  actorOf,
  badField,
  type Database,
  type Handlers,
  numberAfter,
  readPage,
  toPage,
} from '@berth/service'
import type { Prisma } from '../db/client.ts'
import { readingAt } from '../intervals/reading-at.ts'
import type { operations } from '../openapi-types.ts'
import { findRepository } from '../repositories/find.ts'
import type { ServedGate } from '../served/wait-until-served.ts'
import { type ContentType, contentQuery, contentTypes, readFilter } from '../versions/content.ts'
import { diffVersions } from '../versions/diff.ts'
import { deleteVersion } from '../versions/drop-versions.ts'
import { ensureWrittenOut } from '../versions/ensure-written-out.ts'
import { rollBack } from '../versions/rollback.ts'
import { findVersion, showVersion } from '../versions/show.ts'
import { publish } from './publish.ts'

const defaultListed = 1_000

/**
 * The API of the versions of a repository. `readNewConfigs` sees to it that what came just now can be found by its facts;
 * `writeOutSoon` has a rollback that is served already written to the end.
 */
export function versionHandlers(
  db: Database,
  prisma: Prisma,
  gate: ServedGate,
  readNewConfigs: (repositoryId: string) => Promise<void>,
  writeOutSoon: () => void,
) {
  const listContent = async (
    repositoryId: string,
    version: number,
    type: ContentType,
    query: Record<string, unknown>,
  ): Promise<ApiReply> => {
    const page = readPage(query)
    const filter = readFilter(type, query)
    if (type === 'tag' || type === 'manifest') await readNewConfigs(repositoryId)
    const rows = await readingAt(db, repositoryId, [version], ([at = version]) => {
      const wanted = { repositoryId, version: at, after: page.after ?? '', rows: page.limit + 1 }
      const { text, values } = contentQuery(type, wanted, filter)
      return db.query<{ key: string; item: unknown; found: number }>(text, values)
    })
    const body = toPage(
      rows,
      { ...page, isCut: (rows[0]?.found ?? 0) > Math.min(rows.length, page.limit) },
      (row) => row.key,
      (row) => row.item,
    )
    return { status: 200, body }
  }
  return {
    listVersions: async ({ params, query }) => {
      const { id } = await findRepository(prisma, params.repository)
      const page = readPage(query)
      const before = numberAfter(page)
      const rows = await prisma.version.findMany({
        where: { repositoryId: id, ...(before === undefined ? {} : { number: { lt: before } }) },
        orderBy: { number: 'desc' },
        take: page.limit + 1,
      })
      return { status: 200, body: toPage(rows, page, (row) => String(row.number), showVersion) }
    },
    showVersion: async ({ params }) => {
      const { id } = await findRepository(prisma, params.repository)
      return { status: 200, body: showVersion(await findVersion(prisma, id, params.version)) }
    },
    listVersionContent: async ({ params, query }) => {
      const { id } = await findRepository(prisma, params.repository)
      const version = await findVersion(prisma, id, params.version)
      const type = query.type ?? 'tag'
      if (!contentTypes.includes(type)) throw badField('type', `must be one of ${contentTypes.join(', ')}`)
      return listContent(id, version.number, type, query)
    },
    listTags: async ({ params, query }) => {
      const { id, latestVersion } = await findRepository(prisma, params.repository)
      return listContent(id, latestVersion, 'tag', query)
    },
    diffVersions: async ({ params, query }) => {
      const { id } = await findRepository(prisma, params.repository)
      const [from, to] = await Promise.all([params.version, query.to].map((number) => findVersion(prisma, id, number)))
      const limit = query.limit ?? defaultListed
      const numbers = { from: from?.number ?? 0, to: to?.number ?? 0 }
      const diff = await readingAt(db, id, [numbers.from, numbers.to], ([from = 0, to = 0]) =>
        diffVersions(db, { repositoryId: id, from, to, limit }),
      )
      return { status: 200, body: { ...diff, ...numbers } }
    },
    deleteVersion: async ({ params, principal }) => {
      const { id } = await findRepository(prisma, params.repository)
      const number = params.version
      // Served first: it may be the one whose content is read as that of the latest.
      await ensureWrittenOut(db, id)
      await gate.repository(id, Number((await findRepository(prisma, id)).revision))
      const revision = await deleteVersion(db, { repositoryId: id, number, actor: actorOf(principal) })
      await gate.repository(id, revision)
      return { status: 204 }
    },
    rollBackRepository: async ({ params, body, principal }) => {
      const { id } = await findRepository(prisma, params.repository)
      const { version } = body
      const made = await rollBack(db, { repositoryId: id, version, actor: actorOf(principal) })
      const reply = await publish({ gate, prisma }, id, made)
      if (!made.isWrittenOut) writeOutSoon()
      return reply
    },
  } satisfies Partial<Handlers<operations>>
}
