import { catalogEvents, recordEvents } from '@berth/bus'
import type { RepositoryHead, ServedDistribution } from '@berth/commands'
import {
  type Actor,
  columnValues,
  type Database,
  insertQuery,
  madeBy,
  noteUnchanged,
  type Transaction,
} from '@berth/service'
import { distributionsOf } from '../served/rows.ts'
import { emptyContentHash } from '../versions/content-hash.ts'
import { noContent } from '../versions/counts.ts'
import type { LockedRepository } from '../versions/locked-repository.ts'
import { lockRepositoryNamed } from '../versions/repository-lock.ts'
import { defaultSettings, type RepositorySettings, settingColumns } from './settings.ts'

/** `known`: the revision from which a follower needs the rows; 0 when something was made just now. */
export type EnsuredRepository = LockedRepository & { known: number }

/**
 * Locks the repository that a push goes to. `mayCreate` says that nothing is served under its name yet: then the repository
 * is made if there is none, and a distribution of the same name. Two first pushes at once find the same ones. `undefined` when
 * it does not exist and may not be made.
 */
export async function ensureRepository(
  sql: Transaction,
  request: { repository: string; mayCreate: boolean; actor: Actor; ownerId?: string | null },
): Promise<EnsuredRepository | undefined> {
  const { repository: name, mayCreate, actor, ownerId = null } = request
  const locked = await lockRepositoryNamed(sql, name)
  if (!mayCreate) return locked && { ...locked, known: locked.revision }
  if (!locked) await insertRepository(sql, { name, settings: defaultSettings, actor, ownerId })
  const repository = locked ?? (await lockRepositoryNamed(sql, name))
  if (!repository) return undefined
  const made = await insertDistribution(sql, { name, repositoryId: repository.id, actor, ownerId })
  return { ...repository, known: made ? 0 : repository.revision }
}

/** The repository of this name; made with its distribution when there is none, and left alone when there is. */
export async function ensureNamed(
  db: Database,
  { name, actor, ownerId = null }: { name: string; actor: Actor; ownerId?: string | null },
): Promise<RepositoryHead> {
  return db.transaction(async (sql) => {
    const known = await lockRepositoryNamed(sql, name)
    if (known) noteUnchanged()
    const found = known ?? (await ensureRepository(sql, { repository: name, mayCreate: true, actor, ownerId }))
    if (!found) throw new Error(`repository ${name} was made and is not there`)
    const { id, latestVersion, revision } = found
    return { id, name, latestVersion, revision }
  })
}

/** Makes a repository with its empty version 0. `undefined` when the name is taken. */
export async function insertRepository(
  sql: Transaction,
  repository: { name: string; settings: RepositorySettings; actor: Actor; ownerId?: string | null },
): Promise<string | undefined> {
  const { name, settings, actor, ownerId = null } = repository
  const values = { name, ...madeBy(actor), owner_id: ownerId, ...columnValues(settingColumns, settings) }
  const insert = insertQuery('repository', values)
  const [row] = await sql.query<{ id: string }>(
    `${insert.text} on conflict (name) do nothing returning id`,
    insert.values,
  )
  if (!row) return undefined
  const empty = JSON.stringify(noContent)
  await sql.query(
    `insert into version (repository_id, number, base, cause, created_by, created_by_id, revision, present, added, removed, content_hash)
     values ($1, 0, 0, 'modify', $2, $3, 1, $4, $4, $4, $5)`,
    [row.id, actor.name, actor.id, empty, emptyContentHash],
  )
  await recordEvents(sql, [
    {
      kind: catalogEvents.repositoryCreated,
      data: { repositoryId: row.id, name, description: settings.description, labels: settings.labels, ownerId },
      repositoryId: row.id,
      actor,
    },
  ])
  return row.id
}

/**
 * Has a repository that nothing serves served under its own name, as a first push does, unless that base path is taken. Answers its
 * distributions where one was made.
 */
export async function ensureServed(
  sql: Transaction,
  repository: { id: string; name: string; actor: Actor; ownerId: string | null },
): Promise<ServedDistribution[]> {
  const { id, name, actor, ownerId } = repository
  const [served] = await sql.query(
    `select
     from distribution
     where repository_id = $1
     limit 1`,
    [id],
  )
  if (served || !(await insertDistribution(sql, { name, repositoryId: id, actor, ownerId }))) return []
  return distributionsOf(sql, id)
}

/** What a distribution that is made for the name `$1` is called: by that, or by more than that where another base path is called so. */
export const freeName = `case
  when exists (select from distribution where name = $1) then $1 || '-' || left(gen_random_uuid()::text, 8)
  else $1
end`

/** What a first push makes: private unless its namespace says otherwise. A base path that is taken stays with its owner. */
async function insertDistribution(
  sql: Transaction,
  distribution: { name: string; repositoryId: string; actor: Actor; ownerId: string | null },
): Promise<boolean> {
  const { name, repositoryId, actor, ownerId } = distribution
  const [row] = await sql.query<{ id: string }>(
    `insert into distribution (name, base_path, repository_id, access, created_by, created_by_id, owner_id)
     values (
       ${freeName}, $1, $2,
       coalesce((select default_access from namespace where namespace.name = split_part($1, '/', 1)), 'private'), $3, $4, $5)
     on conflict do nothing
     returning id`,
    [name, repositoryId, actor.name, actor.id, ownerId],
  )
  if (!row) return false
  const data = { id: row.id, basePath: name, repositoryId, version: null, ownerId }
  await recordEvents(sql, [{ kind: catalogEvents.distributionPointed, data, repositoryId, actor }])
  return true
}
