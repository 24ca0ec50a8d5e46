import type { AccessObject } from '@berth/access'
import type { AccessObjectRow } from '@berth/commands'
import { isUuid, type Sql } from '@berth/service'

/** The kinds of objects that other services own and auth keeps a copy of. */
export const copiedKinds = ['repository', 'distribution', 'remote'] as const
export type CopiedKind = (typeof copiedKinds)[number]

/** An object as it is decided by. */
export type KnownObject = AccessObject & { kind: CopiedKind; id: string }

export function isCopied(kind: string): kind is CopiedKind {
  return (copiedKinds as readonly string[]).includes(kind)
}

/** An object by id or name, as far as auth has heard of it. Of two that just exchange their names, the one told of last. */
export async function findObject(sql: Sql, kind: CopiedKind, idOrName: string): Promise<KnownObject | undefined> {
  const [row] = await sql.query<KnownObject>(
    `select kind, id, name, owner_id as "ownerId"
     from object
     where kind = $1
       and ${isUuid(idOrName) ? 'id = $2::uuid' : 'name = $2'}
     order by told_at desc
     limit 1`,
    [kind, idOrName],
  )
  return row
}

/** What is told of an object; what is absent stays as it is known. */
export type ToldObject = Pick<AccessObjectRow, 'kind' | 'id' | 'name'> &
  Partial<Pick<AccessObjectRow, 'repositoryId' | 'viaId' | 'ownerId'>>

const writing = `
  insert into object (id, kind, name, repository_id, via_id, owner_id)
  values ($1, $2, $3, $4, $5, $6)
  on conflict (id) do update set
    name = excluded.name,
    repository_id = case when $7::boolean then excluded.repository_id else object.repository_id end,
    via_id = case when $8::boolean then excluded.via_id else object.via_id end,
    owner_id = case when $9::boolean then excluded.owner_id else object.owner_id end,
    told_at = excluded.told_at`

/** Notes what was told of an object. */
export async function writeObject(sql: Sql, told: ToldObject): Promise<void> {
  const { id, kind, name, repositoryId, viaId, ownerId } = told
  const known = [repositoryId, viaId, ownerId].map((value) => value !== undefined)
  await sql.query(writing, [id, kind, name, repositoryId ?? null, viaId ?? null, ownerId ?? null, ...known])
}
