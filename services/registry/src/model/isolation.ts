import type { IsolatedRepository } from '@berth/commands'
import { type Database, Gauge, isPassing, type Logger, type Metrics, sqlState } from '@berth/service'

/** Repositories that cannot be followed: each by itself, so that it holds up no other. Shared by all replicas. */
export type Isolation = {
  /**
   * Follows one of many: what fails is noted and tried again after a pause that grows, and is not tried before. Throws only when
   * catalog or the database is away, which is no fault of the repository.
   */
  spare(repositoryId: string, follow: () => Promise<void>): Promise<void>
  /** Follows one that a caller waits for: always tried, and a failure is noted and thrown. */
  attempt(repositoryId: string, follow: () => Promise<void>): Promise<void>
  /** Those whose pause is over. */
  due(): Promise<string[]>
  count(): Promise<number>
  /** Up to `limit`, those that have failed for the longest time first. */
  list(limit: number): Promise<IsolatedRepository[]>
}

const firstPauseSeconds = 2
const longestPauseSeconds = 600
const mostDue = 20
const longestReason = 500

export function createIsolation({ db, log, metrics }: { db: Database; log: Logger; metrics: Metrics }): Isolation {
  // What is known of at the moment, so that the many that are well cost no query.
  const noted = new Set<string>()
  // An error may pass here twice: a distribution needs its repository followed.
  const told = new WeakSet<object>()
  const note = async (repositoryId: string, error: unknown) => {
    if (typeof error === 'object' && error !== null) {
      if (told.has(error)) return
      told.add(error)
    }
    const reason = (error instanceof Error ? error.message : String(error)).slice(0, longestReason)
    noted.add(repositoryId)
    const [row] = await db.query<{ failures: number }>(
      `insert into isolated_repository (repository_id, failures, next_try_at, reason)
       values ($1, 1, now() + make_interval(secs => $3), $2)
       on conflict (repository_id) do update set
         failures = isolated_repository.failures + 1,
         next_try_at = now() + make_interval(secs => least($3 * power(2, least(isolated_repository.failures, 20)), $4)),
         reason = excluded.reason
       returning failures`,
      [repositoryId, reason, firstPauseSeconds, longestPauseSeconds],
    )
    log.error('a repository cannot be followed; it is served as it was', {
      repositoryId,
      failures: row?.failures,
      error,
    })
  }
  const clear = async (repositoryId: string) => {
    if (!noted.delete(repositoryId)) return
    const gone = await db.query('delete from isolated_repository where repository_id = $1 returning repository_id', [
      repositoryId,
    ])
    if (gone.length > 0) log.info('a repository is followed again', { repositoryId })
  }
  const isPausing = async (repositoryId: string) => {
    const rows = await db.query('select from isolated_repository where repository_id = $1 and next_try_at > now()', [
      repositoryId,
    ])
    return rows.length > 0
  }
  const isolation: Isolation = {
    attempt: async (repositoryId, follow) => {
      try {
        await follow()
      } catch (error) {
        if (!isAway(error)) await note(repositoryId, error)
        throw error
      }
      await clear(repositoryId)
    },
    spare: async (repositoryId, follow) => {
      if (noted.has(repositoryId) && (await isPausing(repositoryId))) return
      await isolation.attempt(repositoryId, follow).catch((error: unknown) => {
        if (isAway(error)) throw error
      })
    },
    due: async () => {
      const rows = await db.query<{ id: string }>(
        `select repository_id as id
         from isolated_repository
         where next_try_at <= now()
         order by next_try_at
         limit $1`,
        [mostDue],
      )
      // Noted by another replica, or before we started.
      for (const { id } of rows) noted.add(id)
      return rows.map(({ id }) => id)
    },
    count: async () => {
      const [row] = await db.query<{ count: number }>('select count(*) as count from isolated_repository')
      return row?.count ?? 0
    },
    list: (limit) =>
      db.query<IsolatedRepository>(
        `select repository_id as id, failures, reason,
           to_char(since at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as since,
           to_char(next_try_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as "nextTryAt"
         from isolated_repository
         order by isolated_repository.since, repository_id
         limit $1`,
        [limit],
      ),
  }
  const isolated = new Gauge({
    name: 'berth_isolated_repositories',
    help: 'Repositories whose changes the registry cannot follow; the log and GET /api/v1/store name them.',
    registers: [],
    async collect() {
      this.set(await isolation.count())
    },
  })
  metrics.registry.registerMetric(isolated)
  return isolation
}

/**
 * Whether catalog or the database does not answer: then every repository would fail, and none is to blame. A statement whose time
 * ran out is one repository's.
 */
function isAway(error: unknown): boolean {
  return isPassing(error) && sqlState((error as Error).cause ?? error) !== '57014'
}
