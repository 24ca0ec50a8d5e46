import { type Database, Problem, type Sql, sqlState } from '@berth/service'

/** How far a quota is used up. */
export type QuotaUse = { usedBytes: number; quotaBytes: number }

const nearlyFull = 0.9
// Recounting goes through all of a namespace, so a client that is refused again and again must not cause it each time.
const recountAfterSeconds = 10
const recountHourly = 3_600

/**
 * Counts content that comes into a repository against the quota of its namespace, if that has one; the transaction fails when
 * it is exceeded. Each digest counts once in a namespace. Run it inside `withinQuota`.
 */
export async function chargeQuota(
  sql: Sql,
  repository: { name: string; quotaBytes: number | null },
  digests: readonly string[],
): Promise<QuotaUse | undefined> {
  if (repository.quotaBytes === null) return undefined
  const [use] = await sql.query<QuotaUse>(
    'select used_bytes as "usedBytes", quota_bytes as "quotaBytes" from charge_namespace($1, $2)',
    [namespaceOf(repository.name), digests],
  )
  return use
}

/** The first segment of a repository's name. */
export function namespaceOf(repository: string): string {
  return repository.split('/', 1)[0] ?? ''
}

/** What a client that pushes is told once nine tenths are used. */
export function quotaWarning(repository: string, use: QuotaUse | undefined): string | undefined {
  if (!use || use.usedBytes < use.quotaBytes * nearlyFull) return undefined
  return `the namespace ${namespaceOf(repository)} holds ${use.usedBytes} of the ${use.quotaBytes} bytes of its quota`
}

/**
 * Does work that may exceed a quota. What is counted may be higher than what is held, for deletions are noticed by recounting
 * only: so no push is refused before a recount. Throws 403 `quota_exceeded`, and nothing was changed.
 */
export async function withinQuota<T>(db: Database, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!isExceeded(error)) throw error
    if (!(await recountIfStale(db, figuresOf(error).namespace))) throw refusal(error)
  }
  try {
    return await work()
  } catch (error) {
    throw isExceeded(error) ? refusal(error) : error
  }
}

type Figures = { namespace: string; quotaBytes: number; usedBytes: number; wantedBytes: number }

function isExceeded(error: unknown): error is { detail: string } {
  return sqlState(error) === 'BR003'
}

function figuresOf({ detail }: { detail: string }): Figures {
  return JSON.parse(detail) as Figures
}

export const quotaHint = 'Delete what is not needed, old versions too, or have the quota raised.'

function refusal(error: { detail: string }): Problem {
  const figures = figuresOf(error)
  return new Problem(403, 'quota_exceeded', `${sayExceeded(figures)}; nothing was changed.`, {
    field: 'repository',
    hint: quotaHint,
    more: { ...figures },
    cause: error,
  })
}

export function sayExceeded({ namespace, quotaBytes, usedBytes, wantedBytes }: Figures): string {
  return `The quota of the namespace "${namespace}" is ${quotaBytes} bytes: ${usedBytes} are used, and this wants ${wantedBytes} more`
}

/** Recounts a namespace unless that was done a moment ago. Answers whether less is used than was thought. */
export async function recountIfStale(db: Database, name: string): Promise<boolean> {
  return db.transaction(async (sql) => {
    const [before] = await sql.query<{ used: number; isFresh: boolean }>(
      `select used_bytes as used, coalesce(counted_at > now() - make_interval(secs => $2), false) as "isFresh"
       from namespace
       where name = $1`,
      [name, recountAfterSeconds],
    )
    if (!before || before.isFresh) return false
    return (await recountNamespace(sql, name)) < before.used
  })
}

/** Has the counting of a namespace to itself. It is taken before the row of the namespace, as every count does. */
export async function lockCount(sql: Sql, name: string): Promise<void> {
  await sql.query(`select pg_advisory_xact_lock(hashtextextended('quota ' || $1, 0))`, [name])
}

/** Counts anew what a namespace holds; pushes into it wait. Answers the bytes. */
export async function recountNamespace(sql: Sql, name: string): Promise<number> {
  const [row] = await sql.query<{ used: number | null }>('select recount_namespace($1) as used', [name])
  return row?.used ?? 0
}

/** Recounts the namespace with a quota that was not counted for longest, if that is an hour ago. */
export async function recountOldest(db: Database): Promise<void> {
  const [oldest] = await db.query<{ name: string }>(
    `select name
     from namespace
     where quota_bytes is not null
       and counted_at < now() - make_interval(secs => $1)
     order by counted_at
     limit 1`,
    [recountHourly],
  )
  if (oldest) await db.transaction((sql) => recountNamespace(sql, oldest.name))
}
