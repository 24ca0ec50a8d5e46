import { randomUUID } from 'node:crypto'
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
const touchedAgainSeconds = 3_600
/** Leases outlast that, so that what ends an import ends them. */
export const leaseSeconds = idleSeconds + 2 * touchedAgainSeconds

/** The holder of the leases of an import. */
export function holderOf(id: string): string {
  return `import:${id}`
}

/** Makes an import; one of the same id is found again. */
export async function insertImport(
  sql: Sql,
  { id = randomUUID(), source, path, actor }: Pick<ImportJob, 'source' | 'path'> & { id?: string; actor: Actor },
): Promise<ImportJob> {
  await sql.query(
    `insert into import_job (id, source, path, created_by, created_by_id)
     values ($1, $2, $3, $4, $5)
     on conflict (id) do nothing`,
    [id, source, path, actor.name, actor.id],
  )
  const job = await readImport(sql, id)
  if (!job) throw new Error(`import ${id} was not inserted`)
  return job
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

/** Notes that somebody does something with an import, and keeps what it holds for as long again. An import may hold very much: once an hour is enough. */
export async function touchImport(sql: Sql, id: string): Promise<void> {
  const touched = await sql.query(
    `update import_job
     set touched_at = now()
     where id = $1
       and touched_at < now() - make_interval(secs => $2)
     returning id`,
    [id, touchedAgainSeconds],
  )
  if (touched.length === 0) return
  await sql.query('update lease set expires_at = now() + make_interval(secs => $2) where holder = $1', [
    holderOf(id),
    leaseSeconds,
  ])
}

/** Says that a task of an import begins. `false`: another one is under way. */
export async function beginTask(sql: Sql, id: string, taskId: string): Promise<boolean> {
  const rows = await sql.query(
    `update import_job
     set state = 'running', task_id = $2, error = null, touched_at = now(), finished_at = null
     where id = $1
       and (state <> 'running' or task_id = $2)
     returning id`,
    [id, taskId],
  )
  return rows.length > 0
}
