/** A row of the audit trail. */
export type Entry = {
  at: Date
  service: string
  number: number
  requestId: string
  action: string
  actorId: string | null
  actor: string
  objectKind: string
  objectId: string | null
  object: string | null
  detail: string | null
  namespace: string | null
  result: 'done' | 'denied' | 'login_failed'
  count: number
  address: string | null
}

export const entryColumns = `at, service, number, request_id as "requestId", action, actor_id as "actorId", actor,
  object_kind as "objectKind", object_id as "objectId", object, detail, namespace, result, count, address`

export function showEntry(row: Entry) {
  const { at, action, detail, namespace, result, count, address, requestId, service, number } = row
  return {
    at: at.toISOString(),
    actor: { id: row.actorId, name: row.actor },
    action,
    object: { kind: row.objectKind, id: row.objectId, name: row.object },
    detail,
    namespace,
    result,
    count,
    address,
    requestId,
    service,
    number,
  }
}
