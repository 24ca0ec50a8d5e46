import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { openAudit, takeAuditOfChange, withAudit } from './audit-entry.ts'
import { recordAudit } from './audit-outbox.ts'
import { databaseProblem } from './database-away.ts'
import { createListeners, type Listeners, type Raised, type Signal } from './signal.ts'
import type { Sql } from './sql.ts'
import { StartupError } from './startup-error.ts'

/** An open transaction. */
export type Transaction = Sql & {
  /** Hands over a statement that was sent and whose result is not needed: it is looked at with the commit, which waits for it. */
  later(statement: Promise<unknown>): void
  /** Raises a signal once the transaction is committed, and never when it is not; `Database.onCommit` hears it. */
  afterCommit<Value>(signal: Signal<Value>, ...value: Value extends void ? [] : [Value]): void
}

/**
 * The database of one service: its own schema, over a pool of its own. Where it does not answer in time, everything here throws
 * the 503 `Problem` of `databaseProblem`.
 */
export type Database = Sql & {
  readonly pool: pg.Pool
  readonly schema: string
  /** The same database for work that no request waits for: a statement may take ten minutes. */
  readonly background: Database
  /**
   * Runs `work` in one transaction; tries again when the database asks for it (deadlock 40P01, serialization 40001). With `planOnce`
   * PostgreSQL plans a prepared statement once a connection, whatever its values: for hot work on a few rows, where planning costs more
   * than the work. Of lists it would take each for one of ten, and plan anew for each that is shorter. It finds rows by indexes only,
   * where there is one that does.
   */
  transaction<T>(
    work: (sql: Transaction) => Promise<T>,
    options?: { isolation?: 'read committed' | 'repeatable read' | 'repeatable read read only'; planOnce?: boolean },
  ): Promise<T>
  /**
   * Has `listener` called after each transaction here that raised the signal and was committed, with all that it carried;
   * answers how to end that. Of what other replicas commit nothing is heard.
   */
  onCommit<Value>(signal: Signal<Value>, listener: (values: Value[]) => void): () => void
  /** Waits a second at most for what is under way; that ends with the process, or with the server. */
  close(): Promise<void>
}

const retryable = new Set(['40P01', '40001'])
const transactionAttempts = 5
// A transaction of ours is short and sends no command to another service; one that idles has lost its owner.
const idleInTransactionMs = 30_000
// What a request may take; what no request waits for may take longer (docs/decisions/0026).
const requestStatementMs = 30_000
const backgroundStatementMs = 600_000
const hangingMs = 500
// A plan that was made while a table had next to nothing is kept when it has a million rows; a scan of all of it seemed cheap then.
const planOnce = ['plan_cache_mode=force_generic_plan', 'enable_seqscan=off']
// Of the 10 s within which Berth stops. Work that still has a connection when a service closes its database was waited for before.
const closeGraceMs = 1_000

// counts and revisions fit a double exactly up to 2^53
pg.types.setTypeParser(pg.types.builtins.INT8, (text) => {
  const number = Number(text)
  if (!Number.isSafeInteger(number)) throw new RangeError(`int8 ${text} does not fit a number`)
  return number
})

/**
 * Opens a pool whose connections see the service's schema only. `max` is the number of connections. A statement is ended after
 * `statementTimeoutMs`, 30 s unless set; one of `background` after ten minutes. `onError` hears of lost connections, once
 * until another one could be opened. `planOnce` as of a transaction, for all that is prepared.
 */
export function openDatabase(options: {
  url: string
  schema: string
  max?: number
  statementTimeoutMs?: number
  planOnce?: boolean
  onError?: (error: Error) => void
}): Database {
  const { statementTimeoutMs = requestStatementMs } = options
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.max ?? 8,
    application_name: `berth-${options.schema}`,
    connectionTimeoutMillis: 10_000,
    // Statements that do not wait for each other go out together (`Promise.all` in a transaction).
    pipeline: true,
    // A server that hangs does not keep its own time; a little later we give up on it ourselves.
    query_timeout: statementTimeoutMs + hangingMs,
    // PostgreSQL would compile what seems dear for want of an index, which pays for no statement of ours: hence no jit.
    options: `-c search_path=${options.schema} -c timezone=UTC -c jit=off -c statement_timeout=${statementTimeoutMs} -c idle_in_transaction_session_timeout=${idleInTransactionMs}${options.planOnce ? planOnce.map((setting) => ` -c ${setting}`).join('') : ''}`,
  })
  let closing = false
  let isLostTold = false
  // A connection that the server closes fails the queries on it, and the next query opens another. Heard on the connection
  // and not on the pool alone: the pool does not listen while one is checked out, and node ends a process whose emitter
  // reports an error without a listener. While we close, the server may be faster, and that is nothing to report.
  pool.on('connect', (connection) => {
    isLostTold = false
    connection.on('error', (error) => {
      // A server that goes takes all connections along, which is one piece of news.
      if (!closing && !isLostTold) options.onError?.(error)
      isLostTold = true
    })
  })
  pool.on('error', () => {})
  const close = async () => {
    closing = true
    const over = new AbortController()
    const grace = delay(closeGraceMs, undefined, { signal: over.signal }).catch(() => 'over')
    await Promise.race([pool.end(), grace])
    over.abort()
  }
  const listeners = createListeners((error) => options.onError?.(error))
  const common = { pool, schema: options.schema, onCommit: listeners.on, close }
  const place = { pool, listeners }
  const inRequest: Database['transaction'] = (work, more) => transaction(place, work, more)
  const inBackground: Database['transaction'] = (work, more) =>
    transaction(place, work, { ...more, statementMs: backgroundStatementMs })
  const background: Database = {
    ...common,
    ...audited(sqlOf(retrying(patient(pool))), inBackground),
    transaction: inBackground,
    get background() {
      return background
    },
  }
  return { ...common, ...audited(sqlOf(retrying(pool)), inRequest), background, transaction: inRequest }
}

// What else writes is left to a transaction of its own; whether it did, the database says.
const mayChange = /\b(insert|update|delete)\b/i

/** Gives a single statement that may change something a transaction, while something is to be recorded. */
function audited(sql: Sql, transact: Database['transaction']): Sql {
  const isToRecord = (text: string) => openAudit() !== undefined && mayChange.test(text)
  return {
    query: (text, values) =>
      isToRecord(text) ? transact((open) => open.query(text, values)) : sql.query(text, values),
    prepared: (name, text, values) =>
      isToRecord(text) ? transact((open) => open.prepared(name, text, values)) : sql.prepared(name, text, values),
  }
}

type Running = { isolation?: string; statementMs?: number; planOnce?: boolean }
type Place = { pool: pg.Pool; listeners: Listeners }
type Queryable = { query(config: Statement): Promise<{ rows: pg.QueryResultRow[] }> }
type Statement = { text: string; name?: string; values?: unknown[]; query_timeout?: number }

function sqlOf(queryable: Queryable, statementMs?: number): Sql {
  const more = statementMs === undefined ? {} : { query_timeout: statementMs + hangingMs }
  const send = async <Row>(statement: Statement) => {
    try {
      return (await queryable.query({ ...statement, ...more })).rows as Row[]
    } catch (error) {
      throw databaseProblem(error) ?? error
    }
  }
  return {
    query: (text, values) => send(values === undefined ? { text } : { text, values: values as unknown[] }),
    prepared: (name, text, values) => send({ name, text, values: values as unknown[] }),
  }
}

/** Single statements that may take as long as background work may. The setting goes out with the statement and costs no wait. */
function patient(pool: pg.Pool): Queryable {
  return {
    query: async (statement) => {
      const client = await pool.connect()
      let broken: Error | undefined
      try {
        const set = client.query(`set statement_timeout = ${backgroundStatementMs}`)
        set.catch(() => undefined)
        const result = await (client as Queryable).query({
          ...statement,
          query_timeout: backgroundStatementMs + hangingMs,
        })
        await set
        return result
      } finally {
        // Back to what the connection began with. Where even this fails, the pool must not hand the connection out again.
        await client.query('reset statement_timeout').catch((failure: Error) => {
          broken = failure
        })
        client.release(broken)
      }
    },
  }
}

/** A statement by itself that the database ended for a deadlock has done nothing, and is sent again like a transaction. */
function retrying(queryable: Queryable): Queryable {
  return { query: (statement) => tryAgain(() => queryable.query(statement)) }
}

async function tryAgain<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (attempt >= transactionAttempts || !retryable.has(sqlState(error) ?? '')) throw error
    }
  }
}

async function transaction<T>(place: Place, work: (sql: Transaction) => Promise<T>, options: Running = {}): Promise<T> {
  try {
    return await tryAgain(() => once(place, work, options))
  } catch (error) {
    throw databaseProblem(error) ?? error
  }
}

async function once<T>(
  { pool, listeners }: Place,
  work: (sql: Transaction) => Promise<T>,
  { isolation = 'read committed', statementMs, ...plans }: Running,
): Promise<T> {
  const client = await pool.connect()
  const sent: Promise<unknown>[] = []
  const raised: Raised[] = []
  let broken: Error | undefined
  try {
    // Sent ahead of the first statement without waiting for it: it fails only when the connection does, and then all fail.
    const patience = statementMs === undefined ? '' : `; set local statement_timeout = ${statementMs}`
    const planning = plans.planOnce ? planOnce.map((setting) => `; set local ${setting}`).join('') : ''
    const begun = client.query(`begin isolation level ${isolation}${patience}${planning}`)
    const later = (statement: Promise<unknown>) => {
      // It may fail before we come to it; then so does the commit, and we hear of it there.
      statement.catch(() => undefined)
      sent.push(statement)
    }
    const afterCommit: Transaction['afterCommit'] = (signal, ...[value]) =>
      void raised.push({ signal: signal as Signal<never>, value })
    const sql = sqlOf(client, statementMs)
    const [result] = await Promise.all([work({ ...sql, later, afterCommit }), begun])
    const audit = isolation.endsWith('read only') ? undefined : takeAuditOfChange()
    const recorded = audit && recordAudit(sql, audit.entry)
    if (recorded) later(recorded)
    // Right behind what was sent: where one of those failed, the server makes a rollback of it.
    const committing = client.query('commit')
    committing.catch(() => undefined)
    await Promise.all(sent)
    const { command } = await committing
    if (command !== 'COMMIT') throw new Error('the transaction was rolled back, because an error in it was not heeded')
    if (audit && (await recorded)) audit.isRecorded = true
    // What a commit sets off is no part of the request any more.
    withAudit(undefined, () => listeners.emit(raised))
    return result
  } catch (error) {
    // When even the rollback fails the connection is of no more use; the pool must not hand it out again.
    await client.query('rollback').catch((failure: Error) => {
      broken = failure
    })
    throw await firstCause(error, sent)
  } finally {
    client.release(broken)
  }
}

/** After a failed statement the server refuses the next ones (25P02): then the failed one is what there is to tell. */
async function firstCause(seen: unknown, sent: readonly Promise<unknown>[]): Promise<unknown> {
  if (sqlState(seen) !== '25P02') return seen
  const failed = (await Promise.allSettled(sent)).find((result) => result.status === 'rejected')
  return failed?.reason ?? seen
}

/** The SQLSTATE of an error that PostgreSQL reported. */
export function sqlState(error: unknown): string | undefined {
  const code = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
}

/** The constraint that a statement violated. */
export function violatedConstraint(error: unknown): string | undefined {
  const constraint = typeof error === 'object' && error !== null && 'constraint' in error ? error.constraint : undefined
  return typeof constraint === 'string' ? constraint : undefined
}

/** Says in one sentence why a database cannot be reached, without its password. */
export function databaseStartupError(url: string, cause: unknown): StartupError {
  const { hostname, port, pathname, searchParams } = new URL(url)
  const where = `${searchParams.get('host') ?? hostname}:${port || '5432'}${pathname}`
  const reason =
    cause instanceof Error ? cause.message || ('code' in cause ? String(cause.code) : cause.name) : String(cause)
  return new StartupError(
    `PostgreSQL at ${where} cannot be used: ${reason}`,
    'check BERTH_DATABASE_URL (host, port, database, user, password; or BERTH_DATABASE_PASSWORD) and that the server runs',
    { cause },
  )
}
