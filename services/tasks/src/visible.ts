import { decide, toSql } from '@berth/access'
import type { Task } from '@berth/commands'
import { type Principal, withoutMessages } from '@berth/service'

type Row = { actorId: string | null; repositoryId: string | null; repositoryName: string | null }

/** A task is seen and cancelled by whoever started it, by those who may `update` the repository that it changes, and by administrators. */
export function maySee(caller: Principal, row: Row): boolean {
  return isOwn(caller, row) || mayKeep(caller, row)
}

function isOwn(caller: Principal, { actorId }: Row): boolean {
  return caller.admin || actorId === caller.id
}

function mayKeep({ rights }: Principal, { repositoryId: id, repositoryName: name }: Row): boolean {
  return name !== null && decide(rights, 'update', { kind: 'repository', name, id: id ?? undefined }).allowed
}

/** The same as a condition for SQL over `task`, and its parameters from `$first` on. */
export function seenBy(caller: Principal, first: number): { condition: string; values: unknown[] } {
  if (caller.admin) return { condition: 'true', values: [] }
  const columns = { name: 'repository_name', id: 'repository_id' }
  const kept = toSql(caller.rights, 'update', 'repository', columns, first + 1)
  return {
    condition: `(actor_id = $${first}::uuid or (repository_name is not null and ${kept.condition}))`,
    values: [caller.id, ...kept.values],
  }
}

/**
 * A task as a caller may see it. What an upstream said names its host, which is for those who may use the remote: whoever started the
 * task had to be one of them, others may be none.
 */
export function viewOf(caller: Principal, row: Row): (task: Task) => Task {
  if (isOwn(caller, row)) return (task) => task
  const message = 'Whoever started it sees why; so do those who may use its remote, by the run.'
  return (task) => ({
    ...task,
    result: withoutMessages(task.result),
    error: task.error && { code: task.error.code, message },
  })
}
