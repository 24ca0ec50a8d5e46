import type { AccessObject } from '@berth/access'
import type { CommandClient, SyncCommands } from '@berth/commands'
import { type Database, isUuid, type ObjectFinders } from '@berth/service'

type Row = { id: string; name: string; ownerId: string | null; isPublic?: boolean }

/**
 * What is decided by of catalog's own objects, by id or name. A repository is not public itself, for it has more than what is served of
 * it: older versions, and what was never promoted.
 */
export function catalogObjects(db: Database, sync: CommandClient<SyncCommands>): ObjectFinders {
  const find = async (query: string, name: string, idOrName: string): Promise<Row | undefined> => {
    const column = isUuid(idOrName) ? 'id' : name
    const [row] = await db.query<Row>(`${query} where ${column} = $1`, [idOrName])
    return row
  }
  const repository = 'select id, name, owner_id as "ownerId" from repository'
  const distribution = `select id, base_path as name, owner_id as "ownerId", access = 'public' as "isPublic" from distribution`
  return {
    repository: async (idOrName) => asObject('repository', await find(repository, 'name', idOrName)),
    distribution: async (idOrName) => asObject('distribution', await find(distribution, 'name', idOrName)),
    remote: async (idOrName) =>
      asObject('remote', (await sync.call('find-remote', { remote: idOrName })).remote ?? undefined),
    namespace: async (idOrName) => {
      const [row] = await db.query<{ id: string | null; name: string }>(
        `select namespace.id, names.name
         from (select coalesce((select name from namespace where id::text = $1), $1) as name) as names
         left join namespace on namespace.name = names.name
         where namespace.id is not null
           or exists (select from repository where split_part(repository.name, '/', 1) = names.name)`,
        [idOrName],
      )
      return row && { kind: 'namespace', name: row.name, ...(row.id === null ? {} : { id: row.id }) }
    },
  }
}

function asObject(kind: AccessObject['kind'], row: Row | undefined): AccessObject | undefined {
  if (!row) return undefined
  const { id, name, ownerId, isPublic } = row
  return { kind, id, name, ownerId, ...(isPublic === undefined ? {} : { isPublic }) }
}
