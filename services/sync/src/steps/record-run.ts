import { fitLists, recordEvents, syncEvents } from '@berth/bus'
import type { TaskError } from '@berth/commands'
import type { Actor, Database, Transaction } from '@berth/service'
import type { SyncRun } from '../db/generated/client.ts'
import type { SyncFailure } from '../fetch/failures.ts'
import { nowhere } from './placed-run.ts'
import type { SyncPlan, SyncResult } from './results.ts'

/** What events tell of a run. */
export type RunIds = Pick<
  SyncRun,
  'id' | 'taskId' | 'remoteId' | 'remoteName' | 'repositoryId' | 'repositoryName' | 'actor' | 'actorId' | 'dryRun'
>

/** Who started a run. */
export function actorOf({ actor, actorId }: Pick<SyncRun, 'actor' | 'actorId'>): Actor {
  return { id: actorId, name: actor }
}

/** `undefined` while the repository is not made yet. */
function placeOf({ repositoryId }: RunIds): string | undefined {
  return repositoryId === nowhere ? undefined : (repositoryId ?? undefined)
}

/** The repository whose events stay in order with these. */
export function placed(run: RunIds): { repositoryId?: string } {
  const repositoryId = placeOf(run)
  return repositoryId === undefined ? {} : { repositoryId }
}

/** What every event of a run says of it. */
export function idsOf(run: RunIds) {
  return {
    runId: run.id,
    remoteId: run.remoteId,
    remote: run.remoteName,
    repositoryId: placeOf(run) ?? null,
    repository: run.repositoryName,
    taskId: run.taskId,
  }
}

const announcedFailures = 100
const reasonCharacters = 500

function announcedFailure({ tag, digest, code, message }: SyncFailure) {
  return { ref: tag ?? digest ?? '', code, reason: message.slice(0, reasonCharacters).toWellFormed() }
}

/** Notes that a run began; announced once, however often it is begun again. */
export async function recordStart(db: Database, run: SyncRun): Promise<void> {
  await db.transaction(async (sql) => {
    const started = await sql.query(
      `update sync_run
       set state = 'running', started_at = now()
       where id = $1
         and state = 'waiting'
       returning id`,
      [run.id],
    )
    if (started.length === 0 || run.dryRun) return
    await recordEvents(sql, [
      {
        kind: syncEvents.runStarted,
        data: { ...idsOf(run), mode: run.mode },
        ...placed(run),
        actor: actorOf(run),
      },
    ])
  })
}

/** Notes what a plan came to. Nothing is announced, for nothing happened. */
export async function recordPlan(db: Database, run: SyncRun, plan: SyncPlan): Promise<void> {
  await db.query(
    `update sync_run set state = 'completed', result = $2, finished_at = now() where id = $1 and state in ('waiting', 'running')`,
    [run.id, JSON.stringify(plan)],
  )
}

/** Notes that a run ended well, with its event; a repetition changes nothing. */
export async function recordSuccess(db: Database, run: SyncRun, result: SyncResult): Promise<void> {
  await db.transaction(async (sql) => {
    const [row] = await sql.query<{ durationMs: number }>(
      `update sync_run
       set state = 'completed', result = $2, finished_at = now()
       where id = $1
         and state in ('waiting', 'running')
       returning (extract(epoch from now() - coalesce(started_at, created_at)) * 1000)::bigint as "durationMs"`,
      [run.id, JSON.stringify(result)],
    )
    if (!row) return
    const { version, created, tags, tagCounts, bytesFetched, failures } = result
    const data = {
      ...idsOf(run),
      version,
      created,
      tags: fitLists(tags),
      tagCounts,
      bytes: bytesFetched,
      durationMs: row.durationMs,
      failures: failures.slice(0, announcedFailures).map(announcedFailure),
    }
    await recordEvents(sql, [{ kind: syncEvents.runCompleted, data, ...placed(run), actor: actorOf(run) }])
  })
}

/** Notes that a run ended without a change, and why. */
export async function recordFailure(
  db: Database,
  run: SyncRun,
  state: 'failed' | 'cancelled',
  error: TaskError,
): Promise<void> {
  await db.transaction(async (sql) => void (await endRun(sql, run, state, error)))
}

/** As `recordFailure`, in a transaction that does more. Answers whether a run that is no plan ended by it. */
export async function endRun(
  sql: Transaction,
  run: RunIds,
  state: 'failed' | 'cancelled',
  error: TaskError,
): Promise<boolean> {
  const ended = await sql.query(
    `update sync_run
     set state = $2, error = $3, finished_at = now()
     where id = $1
       and state in ('waiting', 'running')
     returning id`,
    [run.id, state, JSON.stringify(error)],
  )
  if (ended.length === 0 || run.dryRun) return false
  const data = { ...idsOf(run), code: error.code, reason: error.message, failures: [] }
  await recordEvents(sql, [{ kind: syncEvents.runFailed, data, ...placed(run), actor: actorOf(run) }])
  return true
}
