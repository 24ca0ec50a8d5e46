import { catalogEvents, recordEvents } from '@berth/bus'
import type { ServedDistribution } from '@berth/commands'
import {
  type ApiHandler,
  badField,
  type Database,
  notFound,
  Problem,
  readPage,
  type Sql,
  sqlState,
  toPage,
  violatedConstraint,
} from '@berth/service'
import type { Prisma } from '../db/client.ts'
import type { Distribution, Repository } from '../db/generated/client.ts'
import { findRepository } from '../repositories/api.ts'
import type { ServedGate } from '../served/wait-until-served.ts'

type DistributionBody = {
  name: string
  basePath: string
  repository: string
  version?: number | null
  access?: 'public' | 'private'
  redirect?: boolean
  warning?: string | null
  convertToSchema1?: boolean
}
type Row = Distribution & { repository: Repository }
const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

function showDistribution(row: Row): Record<string, unknown> {
  const { id, name, basePath, repository, version, access, redirect, warning, convertToSchema1, createdAt, createdBy } =
    row
  return {
    id,
    name,
    basePath,
    repository: repository.name,
    repositoryId: repository.id,
    version,
    access,
    redirect,
    warning,
    convertToSchema1,
    createdAt: createdAt.toISOString(),
    createdBy,
  }
}

function toServed(row: Distribution): ServedDistribution {
  const { id, basePath, repositoryId, version, access, redirect, warning, convertToSchema1, revision } = row
  return {
    id,
    basePath,
    repositoryId,
    version,
    access: access as 'public' | 'private',
    redirect,
    warning,
    convertToSchema1,
    revision: Number(revision),
    deleted: false,
  }
}

async function findDistribution(prisma: Prisma, idOrName: string): Promise<Row> {
  const row = await prisma.distribution.findUnique({
    where: uuid.test(idOrName) ? { id: idOrName } : { name: idOrName },
    include: { repository: true },
  })
  if (!row) throw notFound('distribution', idOrName)
  return row
}

/** The API of distributions: where a repository is served, which version of it, and to whom. */
export function distributionHandlers(
  db: Database,
  prisma: Prisma,
  gate: ServedGate,
  wake: () => void,
): Record<string, ApiHandler> {
  return {
    listDistributions: async ({ query }) => {
      const page = readPage(query)
      const repository =
        typeof query.repository === 'string' ? (await findRepository(prisma, query.repository)).id : undefined
      const rows = await prisma.distribution.findMany({
        where: {
          name: {
            ...(page.after === undefined ? {} : { gt: page.after }),
            ...(typeof query.q === 'string' ? { contains: query.q } : {}),
          },
          ...(repository === undefined ? {} : { repositoryId: repository }),
        },
        include: { repository: true },
        orderBy: { name: 'asc' },
        take: page.limit + 1,
      })
      return { status: 200, body: toPage(rows, page, (row) => row.name, showDistribution) }
    },
    createDistribution: async ({ body, principal }) => {
      const wanted = body as DistributionBody
      const repository = await findRepository(prisma, wanted.repository)
      const id = await translate(wanted, () =>
        db.transaction((sql) => insertDistribution(sql, wanted, repository.id, principal.name)),
      )
      wake()
      const row = await findDistribution(prisma, id)
      await gate.distribution(toServed(row))
      return { status: 201, headers: { location: `/api/v1/distributions/${id}` }, body: showDistribution(row) }
    },
    showDistribution: async ({ params }) => ({
      status: 200,
      body: showDistribution(await findDistribution(prisma, params.distribution ?? '')),
    }),
    updateDistribution: async ({ params, body, principal }) => {
      const current = await findDistribution(prisma, params.distribution ?? '')
      const changes = body as Partial<DistributionBody>
      const repositoryId =
        changes.repository === undefined ? current.repositoryId : (await findRepository(prisma, changes.repository)).id
      await translate({ version: current.version, ...changes, basePath: current.basePath }, () =>
        db.transaction((sql) => updateDistribution(sql, current.id, { ...changes, repositoryId }, principal.name)),
      )
      wake()
      const row = await findDistribution(prisma, current.id)
      await gate.distribution(toServed(row))
      return { status: 200, body: showDistribution(row) }
    },
    deleteDistribution: async ({ params, principal }) => {
      const row = await findDistribution(prisma, params.distribution ?? '')
      const revision = await db.transaction((sql) => removeDistribution(sql, row, principal.name))
      wake()
      await gate.distribution({ ...toServed(row), revision, deleted: true })
      return { status: 204 }
    },
  }
}

async function insertDistribution(
  sql: Sql,
  wanted: DistributionBody,
  repositoryId: string,
  actor: string,
): Promise<string> {
  const { name, basePath, version = null, access = 'private', redirect = false, warning = null } = wanted
  const { convertToSchema1 = false } = wanted
  const [row] = await sql.query<{ id: string }>(
    'insert into distribution (name, base_path, repository_id, version, access, redirect, warning, created_by, convert_to_schema1) values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning id',
    [name, basePath, repositoryId, version, access, redirect, warning, actor, convertToSchema1],
  )
  const id = row?.id ?? ''
  await recordEvents(sql, [
    { kind: catalogEvents.distributionPointed, data: { id, basePath, repositoryId, version }, repositoryId, actor },
  ])
  return id
}

type Update = Partial<Omit<DistributionBody, 'name' | 'basePath' | 'repository'>> & { repositoryId: string }

async function updateDistribution(sql: Sql, id: string, changes: Update, actor: string): Promise<void> {
  const [row] = await sql.query<{ base_path: string; version: number | null }>(
    `update distribution set repository_id = $2, version = case when $3 then $4::integer else version end,
       access = coalesce($5, access), redirect = coalesce($6, redirect),
       warning = case when $7 then $8 else warning end, convert_to_schema1 = coalesce($9, convert_to_schema1), revision = nextval('distribution_revision')
     where id = $1 returning base_path, version`,
    [
      id,
      changes.repositoryId,
      changes.version !== undefined,
      changes.version ?? null,
      changes.access ?? null,
      changes.redirect ?? null,
      changes.warning !== undefined,
      changes.warning ?? null,
      changes.convertToSchema1 ?? null,
    ],
  )
  if (!row) throw notFound('distribution', id)
  const data = { id, basePath: row.base_path, repositoryId: changes.repositoryId, version: row.version }
  await recordEvents(sql, [
    { kind: catalogEvents.distributionPointed, data, repositoryId: changes.repositoryId, actor },
  ])
}

async function removeDistribution(sql: Sql, row: Row, actor: string): Promise<number> {
  const gone = await sql.query('delete from distribution where id = $1 returning id', [row.id])
  if (gone.length === 0) throw notFound('distribution', row.name)
  const [trace] = await sql.query<{ revision: number }>(
    `insert into deleted_distribution (id, base_path, repository_id, revision) values ($1, $2, $3, nextval('distribution_revision')) returning revision`,
    [row.id, row.basePath, row.repositoryId],
  )
  await recordEvents(sql, [
    {
      kind: catalogEvents.distributionDeleted,
      data: { id: row.id, basePath: row.basePath },
      repositoryId: row.repositoryId,
      actor,
    },
  ])
  return trace?.revision ?? 0
}

/** Says in the words of the API which constraint a change met. */
async function translate<T>(wanted: Partial<DistributionBody>, change: () => Promise<T>): Promise<T> {
  try {
    return await change()
  } catch (error) {
    const constraint = violatedConstraint(error)
    if (sqlState(error) === '23505' && constraint === 'distribution_base_path_key')
      throw new Problem(409, 'base_path_taken', `Something is served at "${wanted.basePath}" already.`, {
        field: 'basePath',
        hint: 'Choose another base path, or change the distribution that has it.',
        cause: error,
      })
    if (sqlState(error) === '23505')
      throw new Problem(409, 'name_taken', `There is a distribution "${wanted.name}" already.`, {
        field: 'name',
        cause: error,
      })
    if (sqlState(error) === '23503')
      throw badField(
        'version',
        `the repository has no version ${wanted.version}`,
        'GET /api/v1/repositories/{repository}/versions lists them.',
      )
    throw error
  }
}
