import { type AccessObject, decide, type Kind, toSql, type Verb } from '@berth/access'
import type { CloudEvent } from '@berth/bus'
import type { Principal, Sql } from '@berth/service'
import { objectsOf, type TaskObjects, worksOnReadable } from '../visible.ts'

const readBy: Partial<Record<Kind, Verb>> = {
  repository: 'read',
  distribution: 'read',
  remote: 'read',
  namespace: 'read',
  schedule: 'schedule.read',
  webhook: 'webhook.read',
}
const columns = { name: 'object_name', id: 'object_id', owner: 'object_owner' }

/**
 * A condition for SQL over `event_log`, with its parameters from `$first` on: what a caller hears of. That is what it started, and what is
 * about an object that it may see; administrators hear of all.
 */
export function eventsSeenBy(caller: Principal, first: number): { condition: string; values: unknown[] } {
  if (caller.admin) return { condition: 'true', values: [] }
  const values: unknown[] = [caller.id]
  const objects = Object.entries(readBy).map(([kind, verb]) => {
    const allowed = toSql(caller.rights, verb, kind as Kind, columns, first + values.length)
    values.push(...allowed.values)
    return `(object_kind = '${kind}' and ${allowed.condition})`
  })
  const works = worksOnReadable(caller, 'event_log.task_id', first + values.length)
  values.push(...works.values)
  const condition = `(account_id = $${first}::uuid or ${objects.join(' or ')} or (task_id is not null and ${works.condition}))`
  return { condition, values }
}

/** The columns of a `LoggedEvent`. */
export const loggedColumns = `id, event, account_id as "accountId", task_id as "taskId", remote_id as "remoteId", remote_name as "remoteName",
  remote_owner as "remoteOwner"`

/** What is read of a logged event. */
export type LoggedEvent = {
  id: number
  event: CloudEvent
  accountId: string | null
  taskId: string | null
  remoteId: string | null
  remoteName: string | null
  remoteOwner: string | null
}

/**
 * An event as a caller may see it: where content came from and what was said there is for those that may use the remote, and for whoever
 * started it. What is hidden is null.
 */
export function showEvent(caller: Principal, logged: LoggedEvent, objects: TaskObjects): CloudEvent {
  const { event, accountId, taskId, remoteId, remoteName } = logged
  if (caller.admin || accountId === caller.id) return event
  const mayUse = (remote: AccessObject) => decide(caller.rights, 'remote.use', remote).allowed
  if (remoteName !== null) {
    const remote = { kind: 'remote', id: remoteId ?? undefined, name: remoteName, ownerId: logged.remoteOwner } as const
    return mayUse(remote) ? event : { ...event, data: withoutSource(event.data) }
  }
  if (taskId === null) return event
  const works = objects.get(taskId) ?? []
  return works.every((one) => one.kind !== 'remote' || mayUse(one))
    ? event
    : { ...event, data: withoutSource(event.data) }
}

/** Whether a caller hears of an event, and nothing of it is hidden. Of one that is no longer kept it is not known. */
export async function seesAllOf(sql: Sql, caller: Principal, id: number): Promise<boolean> {
  if (caller.admin) return true
  const seen = eventsSeenBy(caller, 2)
  const [logged] = await sql.query<LoggedEvent>(
    `select ${loggedColumns}
     from event_log
     where id = $1
       and ${seen.condition}`,
    [id, ...seen.values],
  )
  if (!logged) return false
  const objects = logged.taskId === null ? new Map() : await objectsOf(sql, [logged.taskId])
  return showEvent(caller, logged, objects) === logged.event
}

const hidden = new Set(['remote', 'remoteId', 'reason', 'message', 'resources'])

/** Without what names a source or was said there, at every depth. */
function withoutSource(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSource)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, hidden.has(key) ? null : withoutSource(inner)]),
  )
}
