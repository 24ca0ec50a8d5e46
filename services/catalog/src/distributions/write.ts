import { catalogEvents, recordEvents } from '@berth/bus'
import {
  type Actor,
  assignments,
  badField,
  type Columns,
  columnValues,
  insertQuery,
  madeBy,
  notFound,
  Problem,
  sqlState,
  type Transaction,
  violatedConstraint,
} from '@berth/service'
import type { PullThrough } from './show.ts'

export type DistributionFields = {
  name: string
  basePath: string
  version?: number | null
  access?: 'public' | 'private'
  redirect?: boolean
  warning?: string | null
  convertToSchema1?: boolean
}
type Settings = Pick<Required<DistributionFields>, 'version' | 'access' | 'redirect' | 'warning' | 'convertToSchema1'>

// Where what can be set about a distribution is kept, and what it has when nothing is said.
const settingColumns: Columns<Settings & { repositoryId: string; pullThrough: PullThrough }> = {
  version: { column: 'version' },
  access: { column: 'access' },
  redirect: { column: 'redirect' },
  warning: { column: 'warning' },
  convertToSchema1: { column: 'convert_to_schema1' },
  repositoryId: { column: 'repository_id' },
  pullThrough: { column: 'pull_through', isJson: true },
}
const defaults: Settings = { version: null, access: 'private', redirect: false, warning: null, convertToSchema1: false }

/** What a distribution serves: a repository, or what comes from a host. */
export type Serves = { repositoryId: string } | { pullThrough: PullThrough }

/** Makes a distribution; answers its id. */
export async function insertDistribution(
  sql: Transaction,
  wanted: DistributionFields,
  serves: Serves,
  { actor, ownerId }: { actor: Actor; ownerId: string | null },
): Promise<string> {
  const { name, basePath, version = null } = wanted
  const repositoryId = 'repositoryId' in serves ? serves.repositoryId : null
  const settings = columnValues(settingColumns, { ...defaults, ...wanted, ...serves })
  const insert = insertQuery('distribution', {
    name,
    base_path: basePath,
    ...madeBy(actor),
    owner_id: ownerId,
    ...settings,
  })
  const [row] = await sql.query<{ id: string }>(`${insert.text} returning id`, insert.values)
  const id = row?.id ?? ''
  await recordPointed(sql, { id, basePath, repositoryId, version, ownerId }, actor)
  return id
}

/** What changes of a distribution; what is absent stays. */
export type Update = Partial<Omit<DistributionFields, 'name' | 'basePath'>> &
  Partial<{ repositoryId: string; pullThrough: PullThrough }>

/** Changes a distribution. With the access of a host goes that of all that came by it and has the same. */
export async function updateDistribution(sql: Transaction, id: string, changes: Update, actor: Actor): Promise<void> {
  const [before] = await sql.query<{ access: string }>(
    `select access
     from distribution
     where id = $1
     for update`,
    [id],
  )
  if (before && changes.access !== undefined && changes.access !== before.access)
    await sql.query(
      `update distribution set access = $2, revision = nextval('distribution_revision') where via = $1 and access = $3`,
      [id, changes.access, before.access],
    )
  const values = {
    ...columnValues(settingColumns, changes),
    changed_by: actor.name,
    changed_by_id: actor.id,
  }
  const [row] = await sql.query<{ base_path: string; repository_id: string | null; version: number | null }>(
    `update distribution
     set ${assignments(values, 2)}, revision = nextval('distribution_revision')
     where id = $1
     returning base_path, repository_id, version`,
    [id, ...Object.values(values)],
  )
  if (!row) throw notFound('distribution', id)
  const data = { id, basePath: row.base_path, repositoryId: row.repository_id, version: row.version }
  await recordPointed(sql, data, actor)
}

async function recordPointed(sql: Transaction, data: catalogEvents.DistributionPointed, actor: Actor): Promise<void> {
  const about = data.repositoryId === null ? {} : { repositoryId: data.repositoryId }
  await recordEvents(sql, [{ kind: catalogEvents.distributionPointed, data, ...about, actor }])
}

type Gone = { id: string; basePath: string; repositoryId: string | null }

/** Deletes a distribution, and of a host also those that came by it; repositories stay. Answers the revision that says so. */
export async function removeDistribution(
  sql: Transaction,
  row: Gone & { name: string },
  actor: Actor,
): Promise<number> {
  const gone = await sql.query<Gone & { ownerId: string | null }>(
    `delete from distribution
     where id = $1
       or via = $1
     returning id, base_path as "basePath", repository_id as "repositoryId", owner_id as "ownerId"`,
    [row.id],
  )
  if (!gone.some((one) => one.id === row.id)) throw notFound('distribution', row.name)
  const traces = await sql.query<{ id: string; revision: number }>(
    `insert into deleted_distribution (id, base_path, repository_id, revision)
     select id, base_path, repository_id, nextval('distribution_revision')
     from unnest($1::uuid[], $2::text[], $3::uuid[]) as gone (id, base_path, repository_id)
     returning id, revision`,
    [gone.map((one) => one.id), gone.map((one) => one.basePath), gone.map((one) => one.repositoryId)],
  )
  await recordEvents(
    sql,
    gone.map(({ id, basePath, repositoryId, ownerId }) => ({
      kind: catalogEvents.distributionDeleted,
      data: { id, basePath, ownerId },
      ...(repositoryId === null ? {} : { repositoryId }),
      actor,
    })),
  )
  return traces.find((trace) => trace.id === row.id)?.revision ?? 0
}

/** Says in the words of the API which constraint a change met. */
export async function translate<T>(wanted: Partial<DistributionFields>, change: () => Promise<T>): Promise<T> {
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
    if (sqlState(error) === '23505' && constraint === 'distribution_mirror_of_root')
      throw new Problem(409, 'root_taken', 'Another distribution is the mirror of the root already.', {
        field: 'pullThrough.mirrorOfRoot',
        hint: 'Set its pullThrough.mirrorOfRoot to false first: GET /api/v1/distributions shows which one it is.',
        cause: error,
      })
    // Only when the access, the trigger and this were changed at once by several.
    if (sqlState(error) === '23514' && constraint === 'distribution_mirror_is_open')
      throw badField(
        'pullThrough.mirrorOfRoot',
        'needs access public and the trigger anonymous',
        'Another change came in between: look at the distribution, and send all three.',
      )
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
