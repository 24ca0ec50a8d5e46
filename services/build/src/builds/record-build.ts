import { buildEvents, recordEvents } from '@berth/bus'
import type { TaskError } from '@berth/commands'
import type { Database, Sql, Transaction } from '@berth/service'
import { dropInput } from '../inputs/inputs.ts'
import { actorOfBuild, type Build, type BuildResult } from './build-row.ts'

/** What events tell of a build. */
type BuildIds = Pick<Build, 'id' | 'taskId' | 'repository' | 'repositoryId' | 'createdBy' | 'createdById'>

const reasonCharacters = 2_000
const escape = String.fromCharCode(0x1b)
const ansi = new RegExp(`${escape}\\[[0-9;?]*[ -/]*[@-~]`, 'g')

function idsOf({ id, taskId, repository, repositoryId }: BuildIds) {
  return { buildId: id, taskId, repository, repositoryId }
}

function placed({ repositoryId }: BuildIds): { repositoryId?: string } {
  return repositoryId === null ? {} : { repositoryId }
}

/** Text of a program as events and the log of a task have it: without the codes by which terminals colour it. */
export function withoutAnsi(text: string): string {
  return text.replaceAll(ansi, '')
}

/** Notes that a build began, or was begun again. */
export async function recordStart(sql: Sql, id: string): Promise<void> {
  await sql.query(
    `update build
     set state = 'running', started_at = coalesce(started_at, now())
     where id = $1
       and state in ('waiting', 'running')`,
    [id],
  )
}

/** Notes what is about to be committed, so that a worker that takes over need not build it again. */
export async function recordStaged(
  sql: Sql,
  { id }: Build,
  { repositoryId, digest, cached }: { repositoryId: string; digest: string; cached: boolean },
): Promise<void> {
  await sql.query(
    `update build set repository_id = $2, digest = $3, result = jsonb_build_object('cached', $4::boolean) where id = $1`,
    [id, repositoryId, digest, cached],
  )
}

/** Notes that a build ended well, with its event, and forgets what it worked with. Answers the result; of a repetition the first one. */
export async function recordSuccess(
  db: Database,
  build: Build,
  { version, cached }: { version: number; cached: boolean },
): Promise<BuildResult> {
  return db.transaction(async (sql) => {
    const [row] = await sql.query<{ durationMs: number; digest: string }>(
      `update build
       set state = 'completed', version = $2, finished_at = now()
       where id = $1
         and state in ('waiting', 'running')
       returning digest, (extract(epoch from now() - coalesce(started_at, created_at)) * 1000)::bigint as "durationMs"`,
      [build.id, version],
    )
    if (!row) throw new Error(`build ${build.id} had ended before it was completed`)
    const { repository, tags } = build
    const result = { repository, version, digest: row.digest, tags, cached, durationMs: row.durationMs }
    await sql.query('update build set result = $2 where id = $1', [build.id, JSON.stringify(result)])
    await dropInput(sql, build.id)
    const data = { ...idsOf(build), version, digest: row.digest, tags, cached, durationMs: row.durationMs }
    await recordEvents(sql, [{ kind: buildEvents.buildCompleted, data, ...placed(build), actor: actorOfBuild(build) }])
    return result
  })
}

/** Notes that a build ended without an image, and why; answers whether it ended by this. */
export async function recordFailure(
  sql: Transaction,
  build: BuildIds,
  state: 'failed' | 'cancelled',
  error: TaskError,
): Promise<boolean> {
  const ended = await sql.query(
    `update build
     set state = $2, error = $3, result = null, finished_at = now()
     where id = $1
       and state in ('waiting', 'running')
     returning id`,
    [build.id, state, JSON.stringify(error)],
  )
  if (ended.length === 0) return false
  await dropInput(sql, build.id)
  const reason = withoutAnsi(error.message).slice(0, reasonCharacters).toWellFormed()
  const data = { ...idsOf(build), code: error.code, reason }
  await recordEvents(sql, [{ kind: buildEvents.buildFailed, data, ...placed(build), actor: actorOfBuild(build) }])
  return true
}
