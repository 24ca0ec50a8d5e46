import { setTimeout as delay } from 'node:timers/promises'
import { type Loop, startLoop } from '@berth/bus'
import type { CommandClient, RegistryCommands } from '@berth/commands'
import { berth, type Database, type Logger } from '@berth/service'
import { retainNewest } from './drop-versions.ts'
import { lockRepository } from './repository-lock.ts'

const pollMs = 60_000
const pauseAfterFailureMs = 5_000
const mostNamed = 10
// Longer than a pull takes from where it is sent to what it finds there.
const readingMs = 1_000

type Deps = { db: Database; registry: CommandClient<RegistryCommands>; log: Logger }

/**
 * Writes the intervals of rollbacks that are served already: at once when it is woken by one, and those that a process which was
 * killed left behind. Stopped in the middle of one, it lets PostgreSQL undo what it did: it is there for the next.
 */
export function startRollbackWriter(deps: Deps): Loop {
  return startLoop({
    pollMs,
    pauseAfterFailureMs,
    onError: (error) => deps.log.warn('rollbacks will be written out again', { error }),
    run: async (signal) => {
      const failures: { id: string; cause: unknown }[] = []
      for (const id of await unfinishedRepositories(deps.db)) {
        if (signal.aborted) return
        // One that fails keeps no other from being written out.
        await writeOutAndFollow(deps, id, signal).catch((cause: unknown) => failures.push({ id, cause }))
      }
      const [first] = failures
      const ids = failures.slice(0, mostNamed).map(({ id }) => id)
      if (first)
        throw new Error(`${failures.length} not written out or not followed: ${ids.join()}`, { cause: first.cause })
    },
  })
}

/** Repositories whose latest version has its content by that of another. */
export async function unwrittenRepositories(db: Database): Promise<string[]> {
  const rows = await db.query<{ id: string }>(`
    select id
    from repository
    where content_of is not null
    order by id`)
  return rows.map(({ id }) => id)
}

/** Those, and where what was read meanwhile is to be let go. */
async function unfinishedRepositories(db: Database): Promise<string[]> {
  const rows = await db.query<{ id: string }>(
    `select id
     from repository
     where content_of is not null
     union
     select id
     from repository
     where lately_read <> '{}'
     order by id`,
  )
  return rows.map(({ id }) => id)
}

async function writeOutAndFollow({ db, registry, log }: Deps, repositoryId: string, signal: AbortSignal) {
  const startedAt = performance.now()
  const revision = await writeOutRollback(db, repositoryId, signal)
  if (revision !== undefined)
    log.info('rollback written out', { repositoryId, durationMs: Math.round(performance.now() - startedAt) })
  const follow = (revision: number) => registry.call('follow-repository', { repositoryId, revision })
  const retained = await letGo(db, repositoryId, async (revision) => {
    await follow(revision)
    await delay(readingMs, undefined, { signal })
  })
  if (retained === undefined) return
  await follow(retained)
}

/**
 * Writes out the rollback of a repository. `undefined`: another transaction has. One that is at it is waited for, because it
 * may be undone: a push that comes too late undoes what it wrote, and where pushes keep coming it would be written out by none
 * of them.
 */
export async function writeOutRollback(db: Database, id: string, signal?: AbortSignal): Promise<number | undefined> {
  return db.transaction(async (sql) => {
    const [own] = await sql.query<{ pid: number; began: string }>(
      'select pg_backend_pid() as pid, now()::text as began',
    )
    // Stopped while we asked, it would not hear of it any more.
    if (!own || signal?.aborted) return undefined
    // This transaction and not the one that its connection has next.
    const cancel = () =>
      void db
        .query('select pg_cancel_backend(pid) from pg_stat_activity where pid = $1 and xact_start = $2::timestamptz', [
          own.pid,
          own.began,
        ])
        .catch(() => 'it comes to its own end')
    signal?.addEventListener('abort', cancel, { once: true })
    try {
      const [mine] = await sql.query(
        `select
         from repository
         where id = $1
           and content_of is not null
         for update`,
        [id],
      )
      return mine && (await lockRepository(sql, id)).revision
    } finally {
      signal?.removeEventListener('abort', cancel)
    }
  })
}

/**
 * Lets go of versions that were read as the latest, once registry followed that they are no more: a pull that it sent there
 * would find only what other versions have too. Answers the revision from which registry no longer knows those that
 * `retainVersions` does not keep.
 */
export async function letGo(
  db: Database,
  repositoryId: string,
  follow: (revision: number) => Promise<unknown>,
): Promise<number | undefined> {
  const [read] = await db.query<{ revision: number; numbers: number[] }>(
    `select revision, lately_read as numbers from repository where id = $1 and lately_read <> '{}'`,
    [repositoryId],
  )
  if (!read) return undefined
  await follow(read.revision)
  return db.transaction(async (sql) => {
    const repository = await lockRepository(sql, repositoryId)
    // One may be in use again by now, so those that came first go, if another replica has not let go of them meanwhile.
    const { length } = read.numbers
    if (String(repository.inUse.slice(0, length)) !== String(read.numbers)) return undefined
    const inUse = repository.inUse.slice(length)
    await sql.query('update repository set lately_read = $2 where id = $1', [repositoryId, inUse])
    if (repository.retainVersions === null) return undefined
    return retainNewest(sql, { ...repository, inUse }, repository.retainVersions, berth)
  })
}
