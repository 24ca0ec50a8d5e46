import { authEvents, type NewEvent, recordEvents } from '@berth/bus'
import type { Actor, Transaction } from '@berth/service'
import type { Holder } from '../holders/holder.ts'
import { type GrantRow, grantColumns, grantSource, toldGrant } from './grant-row.ts'

/** Removes a grant. Answers whether it was there. */
export async function removeGrant(sql: Transaction, id: string, actor: Actor): Promise<boolean> {
  return (await removeWhere(sql, 'access_grant.id = $1', id, actor)) > 0
}

/** Removes what was granted on an object that is gone: another one of its name inherits nothing. */
export async function removeGrantsOn(sql: Transaction, objectId: string): Promise<void> {
  await removeWhere(sql, 'object_id = $1', objectId)
}

/** Deletes a user, group or robot with its name, all that it has, and what was granted to it. Answers whether it was there. */
export async function deleteHolder(sql: Transaction, { id, kind }: Holder, actor: Actor): Promise<boolean> {
  await removeWhere(sql, 'holder_id = $1', id, actor)
  const gone = await sql.query('delete from holder where id = $1 and kind = $2 returning id', [id, kind])
  return gone.length > 0
}

async function removeWhere(sql: Transaction, condition: string, id: string, actor?: Actor): Promise<number> {
  const gone = await sql.query<GrantRow>(`select ${grantColumns} from ${grantSource} where ${condition}`, [id])
  if (gone.length === 0) return 0
  await sql.query('delete from access_grant where id = any($1::uuid[])', [gone.map((row) => row.id)])
  const events = gone.map(
    (row): NewEvent => ({ kind: authEvents.grantDeleted, data: toldGrant(row), ...(actor ? { actor } : {}) }),
  )
  await recordEvents(sql, events)
  return gone.length
}
