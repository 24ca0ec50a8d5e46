import { catalogEvents, recordEvents } from '@berth/bus'
import type { CatalogCommands, ServedDistribution } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { type Actor, badField, type Database, noteUnchanged, Problem, type Sql, type Transaction } from '@berth/service'
import { noteAnswer } from '../pull-through/order.ts'
import { distributionsOf } from '../served/rows.ts'
import { lockRepositoryNamed } from '../versions/repository-lock.ts'
import { freeName, insertRepository } from './ensure.ts'
import { defaultSettings } from './settings.ts'

// What can be had again needs no past, and indexes come without the platforms that were not asked for.
const settings = { ...defaultSettings, retainVersions: 1, sparseIndexes: true }

/**
 * The repository of what was pulled through a distribution of a host, made with its own distribution by the first pull, or
 * taken over with all that it has when the distribution that brought it is gone and it holds nothing else. A name that
 * something else has is refused, so that nothing is ever mixed with what comes from the host. Notes that a tag was found to be
 * as upstream says. `arrived` is the distribution, where it was made just now.
 */
export async function ensurePulled(
  db: Database,
  { via, name, actor, tag }: CatalogCommands['ensure-pulled']['request'],
): Promise<CatalogCommands['ensure-pulled']['reply'] & { arrived: ServedDistribution | undefined }> {
  return db.transaction(async (sql) => {
    const [pullThrough] = await sql.query<{ basePath: string; access: string; host: string }>(
      `select base_path as "basePath", access, pull_through ->> 'host' as host
       from distribution
       where id = $1 and pull_through is not null
       for share`,
      [via],
    )
    if (!pullThrough) throw new Problem(404, 'distribution_not_found', 'The pull-through distribution was deleted.')
    if (!name.startsWith(`${pullThrough.basePath}/`)) throw badField('name', `is not below ${pullThrough.basePath}`)
    const from = { host: pullThrough.host, name: name.slice(pullThrough.basePath.length + 1) }
    const known = await lockRepositoryNamed(sql, name)
    const id = known ? await pulledOnlyFrom(sql, known.id, from) : await makePulled(sql, { name, from, actor })
    const made =
      id !== undefined && (await insertArrived(sql, { via, name, repositoryId: id, access: pullThrough.access, actor }))
    const repository = known ?? (await lockRepositoryNamed(sql, name))
    if (!repository || !(await arrivedBy(sql, { via, name, repositoryId: repository.id })))
      throw new Problem(409, 'name_taken', `${name} is another repository, which did not come by pull-through.`, {
        hint: 'Delete that repository, or give the pull-through distribution another base path.',
      })
    const { latestVersion, revision } = repository
    if (known && !made) noteUnchanged()
    const isHere = tag !== undefined && (await standsFor(sql, repository.id, tag))
    if (isHere) await noteAnswer(sql, repository.id, tag.name)
    const [arrived] = made ? await distributionsOf(sql, repository.id) : []
    return { repository: { id: repository.id, name, latestVersion, revision }, isHere, arrived }
  })
}

type Origin = { host: string; name: string }

async function makePulled(
  sql: Transaction,
  { name, from, actor }: { name: string; from: Origin; actor: Actor },
): Promise<string | undefined> {
  const id = await insertRepository(sql, { name, settings, actor })
  if (id !== undefined)
    await sql.query('update repository set pulled_from = $2 where id = $1', [id, JSON.stringify(from)])
  return id
}

/** The repository, if all that it has came from there by pull-through. */
async function pulledOnlyFrom(sql: Sql, id: string, from: Origin): Promise<string | undefined> {
  const found = await sql.query('select from repository where id = $1 and pulled_from = $2::jsonb', [
    id,
    JSON.stringify(from),
  ])
  return found.length > 0 ? id : undefined
}

async function insertArrived(
  sql: Transaction,
  wanted: { via: string; name: string; repositoryId: string; access: string; actor: Actor },
): Promise<boolean> {
  const { via, name, repositoryId, access, actor } = wanted
  const [row] = await sql.query<{ id: string }>(
    `insert into distribution (name, base_path, repository_id, access, via, created_by, created_by_id)
     values (${freeName}, $1, $2, $3, $4, $5, $6)
     on conflict do nothing
     returning id`,
    [name, repositoryId, access, via, actor.name, actor.id],
  )
  if (!row) return false
  const data = { id: row.id, basePath: name, repositoryId, version: null, via }
  await recordEvents(sql, [{ kind: catalogEvents.distributionPointed, data, repositoryId, actor }])
  return true
}

async function arrivedBy(
  sql: Sql,
  { via, name, repositoryId }: { via: string; name: string; repositoryId: string },
): Promise<boolean> {
  const rows = await sql.query('select from distribution where base_path = $1 and via = $2 and repository_id = $3', [
    name,
    via,
    repositoryId,
  ])
  return rows.length > 0
}

async function standsFor(sql: Sql, repositoryId: string, tag: { name: string; digest: Digest }): Promise<boolean> {
  const found = await sql.query(
    'select 1 from tag_interval where repository_id = $1 and name = $2 and digest = $3 and until is null',
    [repositoryId, tag.name, tag.digest],
  )
  return found.length > 0
}
