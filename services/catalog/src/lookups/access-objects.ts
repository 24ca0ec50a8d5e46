import type { AccessObjectRow, ListAccessObjects } from '@berth/commands'
import { type Database, isUuid } from '@berth/service'

type Kind = 'repository' | 'distribution'

const pageRows = 1_000
const firstId = '00000000-0000-0000-0000-000000000000'

const columnsOf: Record<Kind, string> = {
  repository: `id, name, null::uuid as "repositoryId", null::uuid as "viaId", owner_id as "ownerId", false as "isPublic"`,
  distribution: `id, base_path as name, repository_id as "repositoryId", via as "viaId", owner_id as "ownerId",
    access = 'public' as "isPublic"`,
}
const nameOf: Record<Kind, string> = { repository: 'name', distribution: 'base_path' }

/** Repositories and distributions as rights on them are decided by: all, or those of a kind and a name. */
export async function* streamAccessObjects(
  db: Database,
  { kind, name, servesId }: ListAccessObjects['request'],
): AsyncIterable<AccessObjectRow> {
  if (servesId !== undefined) {
    yield* await findServing(db, servesId)
    return
  }
  for (const one of ['repository', 'distribution'] as const)
    if (kind === undefined || kind === one) yield* name === undefined ? streamAll(db, one) : await find(db, one, name)
}

async function* streamAll(db: Database, kind: Kind): AsyncIterable<AccessObjectRow> {
  for (let after = firstId; ; ) {
    const rows = await db.query<AccessObjectRow>(
      `select '${kind}' as kind, ${columnsOf[kind]}
       from ${kind}
       where id > $1
       order by id
       limit ${pageRows}`,
      [after],
    )
    yield* rows
    const last = rows.at(-1)
    if (!last) return
    after = last.id
  }
}

async function find(db: Database, kind: Kind, idOrName: string): Promise<AccessObjectRow[]> {
  const isNamed = isUuid(idOrName) ? 'id = $1::uuid' : `${nameOf[kind]} = $1`
  return db.query<AccessObjectRow>(`select '${kind}' as kind, ${columnsOf[kind]} from ${kind} where ${isNamed}`, [
    idOrName,
  ])
}

const mostServing = 1_000

async function findServing(db: Database, repositoryId: string): Promise<AccessObjectRow[]> {
  return db.query<AccessObjectRow>(
    `select 'distribution' as kind, ${columnsOf.distribution}
     from distribution
     where repository_id = $1::uuid
     order by base_path
     limit ${mostServing}`,
    [repositoryId],
  )
}
