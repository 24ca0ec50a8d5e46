import { type CloudEvent, catalogEvents, type EventKind, syncEvents, typeOf } from '@berth/bus'
import type { Transaction } from '@berth/service'
import { removeGrantsOn } from '../grants/remove-grants.ts'
import { type ToldObject, writeObject } from '../objects/object.ts'

type Told = ToldObject | { goneId: string }

/** What an event tells of an object: what it is now, or that it is gone. */
function tell<Data>(kind: EventKind<Data>, read: (data: Data) => Told): [string, (data: unknown) => Told] {
  return [typeOf(kind), (data) => read(data as Data)]
}

const tellers = new Map([
  tell(catalogEvents.repositoryCreated, ({ repositoryId: id, name, ownerId }) => ({
    kind: 'repository',
    id,
    name,
    ownerId,
  })),
  tell(catalogEvents.repositoryUpdated, ({ repositoryId: id, name }) => ({ kind: 'repository', id, name })),
  tell(catalogEvents.repositoryDeleted, ({ repositoryId }) => ({ goneId: repositoryId })),
  tell(catalogEvents.distributionPointed, ({ id, basePath, repositoryId, via, ownerId }) => ({
    kind: 'distribution',
    id,
    name: basePath,
    repositoryId,
    viaId: via,
    ownerId,
  })),
  tell(catalogEvents.distributionDeleted, ({ id }) => ({ goneId: id })),
  tell(syncEvents.remoteCreated, ({ id, name, ownerId }) => ({ kind: 'remote', id, name, ownerId })),
  tell(syncEvents.remoteUpdated, ({ id, name }) => ({ kind: 'remote', id, name })),
  tell(syncEvents.remoteDeleted, ({ id }) => ({ goneId: id })),
])

/** Keeps the copy of objects as catalog and sync say that they are. What was granted on one that is gone goes with it. */
export async function noteObject(
  sql: Transaction,
  { type, data }: Pick<CloudEvent, 'type' | 'data'>,
): Promise<'noted' | 'nothing'> {
  const told = tellers.get(type)?.(data)
  if (!told) return 'nothing'
  if ('goneId' in told) await forgetObject(sql, told.goneId)
  else await writeObject(sql, told)
  return 'noted'
}

/** Forgets an object with what was granted on it. */
export async function forgetObject(sql: Transaction, id: string): Promise<void> {
  await removeGrantsOn(sql, id)
  await sql.query('delete from object where id = $1', [id])
}
