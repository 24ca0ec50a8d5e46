import type { AccessObjectRow, ListAccessObjects } from '@berth/commands'
import { type Database, isUuid } from '@berth/service'

const pageRows = 1_000
const firstId = '00000000-0000-0000-0000-000000000000'
const columns = `'remote' as kind, id, name, null::uuid as "repositoryId", null::uuid as "viaId", owner_id as "ownerId",
  false as "isPublic"`

/** Remotes as rights on them are decided by: all, or the one of a name. */
export async function* streamAccessObjects(
  db: Database,
  { kind = 'remote', name }: ListAccessObjects['request'],
): AsyncIterable<AccessObjectRow> {
  if (kind !== 'remote') return
  if (name !== undefined) yield* await find(db, name)
  else yield* streamAll(db)
}

async function* streamAll(db: Database): AsyncIterable<AccessObjectRow> {
  for (let after = firstId; ; ) {
    const rows = await db.query<AccessObjectRow>(
      `select ${columns}
       from remote
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

async function find(db: Database, idOrName: string): Promise<AccessObjectRow[]> {
  const isNamed = isUuid(idOrName) ? 'id = $1::uuid' : 'name = $1'
  return db.query<AccessObjectRow>(`select ${columns} from remote where ${isNamed}`, [idOrName])
}
