import { randomUUID } from 'node:crypto'
import type { CommandClient, Task, TasksCommands } from '@berth/commands'
import { actorOf, badField, type Database, deriveId, Problem, type RequestOf } from '@berth/service'
import type { operations } from '../openapi-types.ts'
import { readTransferPath } from '../transfers/transfer-path.ts'
import { requireFree } from './directory-target.ts'
import type { Selected } from './export-row.ts'
import type { ExportPayload } from './export-work.ts'
import { isAdministrator } from './may-see.ts'
import { selectByLabels, selectNamed } from './select.ts'

export type AskDeps = {
  db: Database
  tasks: CommandClient<TasksCommands>
  transferDirectory: string | undefined
  canSign: boolean
  requireFreeInBucket: (path: string) => Promise<void>
}

type Request = RequestOf<operations['createExport']>
type Body = Request['body']
type Place = { target: Body['to']['kind']; path: string | null }

/** `POST /exports`: checks what is asked for, notes it and queues its task. */
export async function askForExport(deps: AskDeps, request: Request): Promise<Task> {
  const { db, tasks } = deps
  const { body, principal, requestId, taskId = randomUUID() } = request
  const place = await readPlace(deps, request)
  const isSigned = body.sign ?? deps.canSign
  if (isSigned && !deps.canSign)
    throw new Problem(400, 'no_signing_key', 'This installation has no key to sign exports with.', {
      field: 'sign',
      hint: 'Set BERTH_EXPORT_SIGNING_KEY, or leave "sign" out.',
    })
  if ((body.repositories === undefined) === (body.selector === undefined))
    throw badField('repositories', 'stands beside "selector", or neither is there', 'Give one of the two.')
  const selected =
    body.selector === undefined
      ? await selectNamed(db, body.repositories ?? [], principal)
      : await selectByLabels(db, body.selector, principal.rights)
  // Of a schedule the same task may be asked for again: then it is the same export.
  const id = deriveId(`export ${taskId}`)
  const actor = actorOf(principal)
  await db.transaction(async (sql) => {
    const made = await sql.query(
      `insert into export (id, task_id, target, path, chunk_bytes, selector, with_distributions, is_signed, created_by,
         created_by_id, with_chart_images)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
       on conflict do nothing
       returning id`,
      [
        id,
        taskId,
        place.target,
        place.path,
        body.chunkBytes ?? null,
        body.selector ?? null,
        body.distributions ?? false,
        isSigned,
        actor.name,
        actor.id,
        body.chartImages ?? false,
      ],
    )
    if (made.length > 0) await insertSelected(sql, id, selected)
  })
  const payload: ExportPayload = { exportId: id }
  const { task } = await tasks.call(
    'create-task',
    {
      id: taskId,
      kind: 'export',
      payload,
      // Two that write to one place would take it from each other.
      exclusive: place.path === null ? [] : [`${place.target}:${place.path}`],
      shared: [],
      actor,
    },
    { requestId },
  )
  return task
}

async function readPlace(
  { db, transferDirectory, requireFreeInBucket }: AskDeps,
  { body, principal }: Pick<Request, 'body' | 'principal'>,
): Promise<Place> {
  const { kind, path } = body.to
  if (kind === 'download') {
    if (path !== undefined) throw badField('to.path', 'is for a directory or a bucket', 'Leave it out.')
    return { target: kind, path: null }
  }
  if (!isAdministrator(principal))
    throw new Problem(403, 'not_allowed', `Exports into a ${kind} are for administrators.`, {
      field: 'to.kind',
      hint: 'Ask for a download, or ask an administrator.',
    })
  const inside = readTransferPath(
    path ?? `export-${randomUUID()}`,
    'to.path',
    kind === 'directory' ? transferDirectory : undefined,
  )
  if (body.chunkBytes !== undefined && inside.endsWith('.tar'))
    throw badField('to.path', 'names an archive, and is to be a folder of parts', 'Leave ".tar" away.')
  await refuseInside(db, kind, inside)
  if (kind === 'directory') await requireFree(transferDirectory, inside)
  else await requireFreeInBucket(inside)
  return { target: kind, path: inside }
}

/** An export may not lie inside of another one: it would be part of that layout, and go when that is written again. */
async function refuseInside(db: Database, target: string, path: string): Promise<void> {
  const names = path.split('/')
  const above = names.slice(1).map((_, at) => names.slice(0, at + 1).join('/'))
  const [other] = await db.query<{ path: string }>(
    `select path
     from export
     where target = $1
       and path = any($2::text[])
       and state in ('waiting', 'running', 'completed')
     limit 1`,
    [target, above],
  )
  if (!other) return
  throw new Problem(409, 'target_exists', `"${other.path}" is an export already, and this would lie inside of it.`, {
    field: 'to.path',
    hint: 'Choose a path beside it.',
  })
}

async function insertSelected(
  sql: Parameters<Parameters<Database['transaction']>[0]>[0],
  exportId: string,
  selected: readonly Selected[],
): Promise<void> {
  await sql.query(
    `insert into export_repository (export_id, repository_id, name, number, content_hash, since, since_hash, facts)
     select $1, id, name, number, hash, since, since_hash, array(select jsonb_array_elements_text(facts)::integer)
     from jsonb_to_recordset($2) as one (
       id uuid, name text, number integer, hash text, since integer, since_hash text, facts jsonb)`,
    [
      exportId,
      JSON.stringify(
        selected.map(({ id, name, number, contentHash, since, sinceHash, facts }) => ({
          id,
          name,
          number,
          hash: contentHash,
          since,
          since_hash: sinceHash,
          facts,
        })),
      ),
    ],
  )
}
