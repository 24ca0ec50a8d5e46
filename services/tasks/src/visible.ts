import { type AccessObject, decide, toSql } from '@berth/access'
import type { Task, TaskObject } from '@berth/commands'
import { type Database, type Principal, requireVerb, type Sql, withoutMessages } from '@berth/service'

const objectKinds = ['repository', 'distribution', 'remote'] as const
const columns = { name: 'object.name', id: 'object.object_id', owner: 'object.owner_id' }

/**
 * A condition for SQL over `task`, with its parameters from `$first` on: what a caller sees. That is what it started, and what works only
 * on what it may read; administrators see all.
 */
export function seenBy(caller: Principal, first: number): { condition: string; values: unknown[] } {
  if (caller.admin) return { condition: 'true', values: [] }
  const works = worksOnReadable(caller, 'task.id', first + 1)
  return { condition: `(actor_id = $${first}::uuid or ${works.condition})`, values: [caller.id, ...works.values] }
}

/** As `seenBy`, of the task whose id a column or a piece of SQL says: that it works on something, and only on what the caller may read. */
export function worksOnReadable(
  caller: Principal,
  task: string,
  first: number,
): { condition: string; values: unknown[] } {
  const values: unknown[] = []
  const readable = objectKinds.map((kind) => {
    const allowed = toSql(caller.rights, 'read', kind, columns, first + values.length)
    values.push(...allowed.values)
    return `(object.kind = '${kind}' and ${allowed.condition})`
  })
  const condition = `(
    exists (select from task_object as object where object.task = ${task})
    and not exists (
      select
      from task_object as object
      where object.task = ${task}
        and (${readable.join(' or ')}) is not true))`
  return { condition, values }
}

const personalKinds: ReadonlySet<string> = new Set(['export', 'import'])

type Row = { id: string; actorId: string | null }
/** What a task works on, as rights are decided by it. */
export type TaskObjects = Map<string, AccessObject[]>

/** What each of some tasks works on. */
export async function objectsOf(sql: Sql | Database, ids: readonly string[]): Promise<TaskObjects> {
  const rows = await sql.query<TaskObject & { task: string }>(
    `select task, kind, object_id as id, name, owner_id as "ownerId"
     from task_object
     where task = any($1::uuid[])
     order by task, place`,
    [ids],
  )
  const objects: TaskObjects = new Map()
  for (const { task, kind, id, name, ownerId } of rows) {
    const before = objects.get(task) ?? []
    objects.set(task, [...before, { kind, id: id ?? undefined, name, ownerId }])
  }
  return objects
}

/** Throws 403 unless a caller, who sees a task, may cancel it or have it tried again: its starter, and who has `task.update` on all of it. */
export function requireChange(
  caller: Principal,
  row: Row & { kind: string },
  objects: TaskObjects,
  what: string,
): void {
  if (caller.admin) return
  // They work on what their starter has asked for, by its rights.
  if (personalKinds.has(row.kind) && isOwn(caller, row)) return
  const on = objects.get(row.id) ?? []
  // What works on the whole installation is for administrators, also where it was started by an account that is none any more.
  if (on.length === 0) requireVerb(caller, 'administer', { kind: 'settings', name: '' }, what)
  if (isOwn(caller, row)) return
  for (const object of on) requireVerb(caller, 'task.update', object, what)
}

/**
 * A task as a caller may see it. What an upstream said names its host, which is for those who may use the remote: whoever started the
 * task had to be one of them, others may be none.
 */
export function viewOf(caller: Principal, row: Row, objects: TaskObjects): (task: Task) => Task {
  if (!hidesUpstream(caller, row, objects)) return (task) => task
  const message = 'Whoever started it sees why, and so do those who may use its remote.'
  return (task) => ({
    ...task,
    result: withoutMessages(task.result),
    error: task.error && { code: task.error.code, message },
  })
}

/** Whether a caller, who sees a task, is not to read what an upstream said. */
export function hidesUpstream(caller: Principal, row: Row, objects: TaskObjects): boolean {
  if (isOwn(caller, row)) return false
  return (objects.get(row.id) ?? []).some(
    (object) => object.kind === 'remote' && !decide(caller.rights, 'remote.use', object).allowed,
  )
}

function isOwn(caller: Principal, { actorId }: Row): boolean {
  return caller.admin || actorId === caller.id
}
