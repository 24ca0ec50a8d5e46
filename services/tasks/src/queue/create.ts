import type { Task, TaskObject, TasksCommands } from '@berth/commands'
import {
  badField,
  type Database,
  Problem,
  type Sql,
  sqlState,
  type Transaction,
  violatedConstraint,
} from '@berth/service'
import { currentTraceparent } from '@berth/tracing'
import { workWaiting } from './doorbell.ts'
import { recordChange, showTask, type TaskRow, taskColumns } from './row.ts'

type Request = TasksCommands['create-task']['request']

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Queues a task with its locks; the same id again answers the task that is there. 409 when that one is of another kind. */
export async function createTask(db: Database, request: Request): Promise<Task> {
  if (!uuid.test(request.id)) throw badField('id', 'is no uuid in lower case')
  const resources = lockModes(request)
  const row = await db
    .transaction((sql) => queue(sql, request, resources))
    .catch((error: unknown) => {
      if (sqlState(error) !== '23503' || violatedConstraint(error) !== 'task_parent_fkey') throw error
      throw badField('parent', 'is no task that is there')
    })
  return showTask(row)
}

async function queue(sql: Transaction, request: Request, resources: Map<string, boolean>): Promise<TaskRow> {
  const made = await insert(sql, request, resources)
  const row = made ?? (await existing(sql, request))
  // Also when it is there already: a request that is repeated may not have been heard the first time.
  if (row.state === 'waiting') sql.afterCommit(workWaiting, { kind: row.kind, id: row.id, occasion: 'created' })
  if (!made) return row
  await insertObjects(sql, request.id, request.on ?? [])
  await recordChange(sql, [made])
  return made
}

async function insertObjects(sql: Sql, task: string, objects: readonly TaskObject[]): Promise<void> {
  if (objects.length === 0) return
  await sql.query(
    `insert into task_object (task, place, kind, object_id, name, owner_id)
     select $1, place, kind, id, name, owner_id
     from unnest($2::text[], $3::uuid[], $4::text[], $5::uuid[])
       with ordinality as object (kind, id, name, owner_id, place)`,
    [
      task,
      objects.map(({ kind }) => kind),
      objects.map(({ id }) => id),
      objects.map(({ name }) => name),
      objects.map(({ ownerId }) => ownerId),
    ],
  )
}

/** Each resource once: one that is wanted both ways is wanted exclusively. */
function lockModes({ exclusive, shared }: Request): Map<string, boolean> {
  const modes = new Map(shared.map((resource) => [resource, false]))
  for (const resource of exclusive) modes.set(resource, true)
  return modes
}

const insertTask = `
  with made as (
    insert into task (id, kind, parent, payload, resources, actor, actor_id, exclusive_resources, traceparent)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $10)
    on conflict (id) do nothing
    returning *),
  locked as (
    insert into task_resource (task, seq, resource, exclusive)
    select made.id, made.seq, wanted.resource, wanted.exclusive
    from made
    cross join unnest($5::text[], $9::boolean[]) as wanted (resource, exclusive))
  select ${taskColumns}
  from made as task`

async function insert(
  sql: Sql,
  request: Request,
  resources: ReadonlyMap<string, boolean>,
): Promise<TaskRow | undefined> {
  const [row] = await sql.prepared<TaskRow>('create-task', insertTask, [
    request.id,
    request.kind,
    request.parent ?? null,
    JSON.stringify(request.payload ?? null),
    [...resources.keys()],
    request.actor.name,
    request.actor.id,
    request.exclusive,
    [...resources.values()],
    currentTraceparent() ?? null,
  ])
  return row
}

async function existing(sql: Sql, { id, kind }: Request): Promise<TaskRow> {
  const [row] = await sql.query<TaskRow>(`select ${taskColumns} from task where id = $1`, [id])
  if (row?.kind === kind) return row
  throw new Problem(409, 'task_id_taken', `Task ${id} is there already and is no ${kind}.`)
}
