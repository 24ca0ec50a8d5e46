import type { TaskError } from '@berth/commands'
import { type Actor, type Database, type PageRequest, type Sql, timeAndIdAfter } from '@berth/service'

/** An import as its row has it. */
export type ImportJob = {
  id: string
  source: 'directory' | 'upload'
  path: string | null
  state: 'open' | 'running' | 'completed' | 'failed'
  taskId: string | null
  result: unknown
  error: TaskError | null
  unpacked: boolean
  createdBy: string
  createdById: string | null
  /** With microseconds, as lists go on by it. */
  createdAt: string
  touchedAt: Date
  finishedAt: Date | null
}

const columns = `id, source, path, state, task_id as "taskId", result, error, unpacked, created_by as "createdBy",
  created_by_id as "createdById", to_char(created_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as "createdAt", touched_at as "touchedAt", finished_at as "finishedAt"`

/** How long an import is kept that nobody does anything with: what was uploaded, what was verified, and its leases. */
export const idleSeconds = 259_200

/** The holder of the leases of an import. */
export function holderOf(id: string): string {
  return `import:${id}`
}

export async function insertImport(
  sql: Sql,
  { source, path, actor }: Pick<ImportJob, 'source' | 'path'> & { actor: Actor },
): Promise<ImportJob> {
  const [row] = await sql.query<ImportJob>(
    `insert into import_job (source, path, created_by, created_by_id) values ($1, $2, $3, $4) returning ${columns}`,
    [source, path, actor.name, actor.id],
  )
  if (!row) throw new Error('an import was not inserted')
  return row
}

export async function readImport(sql: Sql, id: string): Promise<ImportJob | undefined> {
  const [row] = await sql.query<ImportJob>(`select ${columns} from import_job where id = $1`, [id])
  return row
}

/** A page of imports, newest first; `creator` narrows it to those of one account. */
export async function listImports(db: Database, page: PageRequest, creator: string | undefined): Promise<ImportJob[]> {
  const after = timeAndIdAfter(page)
  return db.query<ImportJob>(
    `select ${columns}
     from import_job
     where ($1::timestamptz is null or (created_at, id) < ($1, $2::uuid))
       and ($3::uuid is null or created_by_id = $3)
     order by created_at desc, id desc
     limit $4`,
    [after?.at ?? null, after?.id ?? null, creator ?? null, page.limit + 1],
  )
}

/** Notes that somebody does something with an import, and keeps what it holds for as long again. */
export async function touchImport(sql: Sql, id: string): Promise<void> {
  await sql.query('update import_job set touched_at = now() where id = $1', [id])
  await sql.query('update lease set expires_at = now() + make_interval(secs => $2) where holder = $1', [
    holderOf(id),
    idleSeconds,
  ])
}

/** Begins a task of an import. `false`: another one is under way. */
export async function beginTask(sql: Sql, id: string, taskId: string): Promise<boolean> {
  const rows = await sql.query(
    `update import_job
     set state = 'running', task_id = $2, error = null, touched_at = now(), finished_at = null
     where id = $1
       and state <> 'running'
     returning id`,
    [id, taskId],
  )
  return rows.length > 0
}
