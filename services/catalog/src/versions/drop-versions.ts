import { catalogEvents, recordEvents } from '@berth/bus'
import { type Actor, type Database, Problem, type Transaction } from '@berth/service'
import { intervalTables } from '../intervals/tables.ts'
import { emptyRows } from '../intervals/write-rows.ts'
import { type LockedRepository, nextRevision } from './locked-repository.ts'
import { lockRepository } from './repository-lock.ts'

/**
 * Deletes a version. Every other version keeps its content; the number is not used again. Refused for the latest one and for
 * one that a distribution pins. Answers the revision from which registry no longer knows it.
 */
export async function deleteVersion(
  db: Database,
  request: { repositoryId: string; number: number; actor: Actor },
): Promise<number> {
  return db.transaction(async (sql) => {
    const repository = await lockRepository(sql, request.repositoryId)
    const { number } = request
    if (number === repository.latestVersion)
      throw new Problem(409, 'version_latest', `Version ${number} is the latest of ${repository.name}.`, {
        hint: 'Roll back first, if another content is wanted; the latest version always stays.',
      })
    const pins = await sql.query<{ name: string }>(
      `select name
       from distribution
       where repository_id = $1
         and version = $2
       order by name
       limit 10`,
      [repository.id, number],
    )
    const names = pins.map((pin) => pin.name)
    if (names.length > 0)
      throw new Problem(409, 'version_pinned', `Version ${number} is served by ${names.join(', ')}.`, {
        hint: 'Point these distributions elsewhere first.',
        more: { distributions: names },
      })
    const dropped = await dropVersions(sql, repository, [number], request.actor)
    if (dropped === undefined)
      throw new Problem(404, 'version_not_found', `${repository.name} has no version ${number}.`)
    return dropped
  })
}

/**
 * Deletes what `retainVersions` no longer keeps: all but the newest, those that a distribution pins, and what is in use, which goes
 * once it is let go. The versions of one run count as one, or a large run would push out everything that was before it.
 */
export async function retainNewest(
  sql: Transaction,
  repository: LockedRepository,
  keep: number,
  actor: Actor,
): Promise<number | undefined> {
  const old = await sql.query<{ number: number }>(
    `select number from (
       select number, dense_rank() over (order by coalesce(part_of, number) desc) as place from version where repository_id = $1
         and (number = $2 or not exists (select from distribution as pin where pin.repository_id = $1 and pin.version = version.number))
     ) as ranked where place > $3 and number <> $2 and number <> all ($4::integer[])`,
    [repository.id, repository.latestVersion, keep, repository.inUse],
  )
  const numbers = old.map((row) => row.number)
  return numbers.length === 0 ? undefined : dropVersions(sql, repository, numbers, actor)
}

async function dropVersions(
  sql: Transaction,
  repository: LockedRepository,
  numbers: readonly number[],
  actor: Actor,
): Promise<number | undefined> {
  const gone = await sql.query<{ number: number }>(
    `with gone as (
       delete from version
       where repository_id = $1
         and number = any($2::integer[])
       returning repository_id, number, cause, created_at, created_by, created_by_id)
     insert into version_history (repository_id, number, cause, created_at, created_by, created_by_id)
     select *
     from gone
     returning number`,
    [repository.id, numbers],
  )
  if (gone.length === 0) return undefined
  const revision = await nextRevision(sql, repository)
  for (const { table } of intervalTables) await emptyRows(sql, table, repository.id, revision)
  await recordEvents(
    sql,
    gone.map(({ number }) => ({
      kind: catalogEvents.versionDeleted,
      data: { repositoryId: repository.id, name: repository.name, number, revision },
      repositoryId: repository.id,
      actor,
    })),
  )
  return revision
}
