import { type Rights, toSql } from '@berth/access'
import { catalogEvents, recordEvents } from '@berth/bus'
import {
  type Actor,
  actorOf,
  type Database,
  fitPage,
  type Handlers,
  notFound,
  ownerOf,
  type PageRequest,
  Problem,
  pickFields,
  readPage,
  sqlState,
  toPage,
} from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { Repository } from '../db/generated/client.ts'
import { keepNamespaceOf } from '../namespaces/settings.ts'
import type { components, operations } from '../openapi-types.ts'
import { insertRepository } from '../repositories/ensure.ts'
import { findRepository } from '../repositories/find.ts'
import { checkSettings, defaultSettings, settingColumns, updateSettings } from '../repositories/settings.ts'
import type { ServedGate } from '../served/wait-until-served.ts'
import { type LabelSelector, parseSelector, selectorCondition } from '../settings/label-selector.ts'
import { nextRevision } from '../versions/locked-repository.ts'
import { lockRepository } from '../versions/repository-lock.ts'

/** How the API shows a repository. */
function showRepository(row: Repository): components['schemas']['Repository'] {
  const { id, name, latestVersion, createdAt, createdBy, createdById } = row
  return {
    id,
    name,
    ...pickFields(settingColumns, row),
    latestVersion,
    createdAt: createdAt.toISOString(),
    createdBy,
    createdById,
  }
}

/** The API of repositories themselves. */
export function repositoryHandlers(db: Database, prisma: Prisma, gate: ServedGate) {
  return {
    listRepositories: async ({ query, principal }) => {
      const page = readPage(query)
      const filter = {
        rights: principal.rights,
        q: query.q,
        labels: typeof query.labels === 'string' ? parseSelector(query.labels) : undefined,
      }
      const fitting = fitPage(await repositoryPage(db, page, filter), page)
      const ids = fitting.rows.map(({ id }) => id)
      const rows = await prisma.repository.findMany({ where: { id: { in: ids } }, orderBy: { name: 'asc' } })
      return { status: 200, body: toPage(rows, fitting.page, (row) => row.name, showRepository) }
    },
    createRepository: async ({ body, principal }) => {
      const { name, ...given } = body
      const settings = checkSettings({ ...defaultSettings, ...given })
      const id = await db.transaction((sql) =>
        insertRepository(sql, { name, settings, actor: actorOf(principal), ownerId: ownerOf(principal) }),
      )
      if (id === undefined)
        throw new Problem(409, 'name_taken', `There is a repository "${name}" already.`, {
          field: 'name',
          hint: 'Choose another name, or use that one.',
        })
      await gate.repository(id, 1)
      return {
        status: 201,
        headers: { location: `/api/v1/repositories/${id}` },
        body: showRepository(await findRepository(prisma, id)),
      }
    },
    showRepository: async ({ params }) => ({
      status: 200,
      body: showRepository(await findRepository(prisma, params.repository)),
    }),
    updateRepository: async ({ params, body, principal }) => {
      const { id } = await findRepository(prisma, params.repository)
      const changes = checkSettings(body)
      await db.transaction((sql) => updateSettings(sql, id, changes, actorOf(principal)))
      return { status: 200, body: showRepository(await findRepository(prisma, id)) }
    },
    rebuildRepository: async ({ params }) => {
      const { id } = await findRepository(prisma, params.repository)
      // A revision of its own, so that every replica leaves behind what it remembers.
      const revision = await db.transaction(async (sql) => nextRevision(sql, await lockRepository(sql, id)))
      await gate.rebuilt(id, revision)
      return { status: 204 }
    },
    deleteRepository: async ({ params, principal }) => {
      const { id, name } = await findRepository(prisma, params.repository)
      await deleteRepository(db, { id, name, actor: actorOf(principal) })
      await gate.repositoryGone(id)
      return { status: 204 }
    },
  } satisfies Partial<Handlers<operations>>
}

/** The ids and sizes of a page of repositories, by name, and of one more. */
async function repositoryPage(
  db: Database,
  page: PageRequest,
  filter: { rights: Rights; q: string | undefined; labels: LabelSelector | undefined },
): Promise<{ id: string; listedBytes: number }[]> {
  const values: unknown[] = [page.after ?? '', page.limit + 1]
  const columns = { name: 'name', id: 'id', owner: 'owner_id' }
  const readable = toSql(filter.rights, 'read', 'repository', columns, values.length + 1)
  values.push(...readable.values)
  const conditions = [
    'name > $1',
    readable.condition,
    ...(filter.q === undefined ? [] : [`position($${values.push(filter.q)} in name) > 0`]),
    ...(filter.labels ? [selectorCondition('labels', filter.labels, values)] : []),
  ]
  return db.query<{ id: string; listedBytes: number }>(
    `select id, listed_bytes as "listedBytes"
     from repository
     where ${conditions.join(' and ')}
     order by name
     limit $2`,
    values,
  )
}

async function deleteRepository(db: Database, repository: { id: string; name: string; actor: Actor }): Promise<void> {
  const { id, name, actor } = repository
  try {
    await db.transaction(async (sql) => {
      // Its history may be kept, and that is what its intervals say.
      await lockRepository(sql, id)
      const [gone] = await sql.query<{ cameByPull: boolean; ownerId: string | null }>(
        `delete from repository where id = $1
         returning pulled_from is not null as "cameByPull", owner_id as "ownerId"`,
        [id],
      )
      if (!gone) throw notFound('repository', name)
      if (!gone.cameByPull) await keepNamespaceOf(sql, name, actor)
      const data = { repositoryId: id, name, ownerId: gone.ownerId }
      await recordEvents(sql, [{ kind: catalogEvents.repositoryDeleted, data, repositoryId: id, actor }])
    })
  } catch (error) {
    if (sqlState(error) !== '23503') throw error
    throw new Problem(409, 'repository_distributed', `"${name}" is served by a distribution.`, {
      hint: 'Delete its distributions first: GET /api/v1/distributions?repository=… lists them.',
      cause: error,
    })
  }
}
