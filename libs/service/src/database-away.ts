import { Problem } from './problem.ts'

// 57P0x: the server stops or starts; 53xxx: it has no connections, memory or disk left; 08xxx: the connection is lost;
// 57014: the statement's time ran out. P1xxx and P2024 are Prisma's own words for a server that it cannot reach in time.
const awayStates = /^(57P0\d|53\d{3}|08\w{3}|57014|P1001|P1002|P1008|P1017|P2024)$/
const awayCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
])
// What pg and its pool say without a code: of a connection that ended, of one that could not be had, of an answer that did not
// come.
const awayTexts =
  /^(Connection terminated|timeout exceeded when trying to connect|Query read timeout|Client (has encountered a connection error|was closed) and is not queryable|Cannot use a pool after calling end)/
const deepest = 5

/** The code of problems that tell of a database that does not answer. They cross the internal calls as they are. */
const databaseUnavailable = 'database_unavailable'

/**
 * The one translation, for every door, of a database that does not answer in time: 503 with Retry-After. `undefined` for any
 * other error. Of `error` it takes what PostgreSQL, the driver, the pool or Prisma has thrown.
 */
export function databaseProblem(error: unknown): Problem | undefined {
  if (error instanceof Problem) return error.code === databaseUnavailable ? error : undefined
  const state = awayState(error)
  if (state === undefined) return undefined
  const message =
    state === '57014' ? 'PostgreSQL took longer over a statement than it may.' : 'PostgreSQL does not answer.'
  return new Problem(503, databaseUnavailable, message, {
    hint: 'It may be restarting or overloaded; try again in a few seconds.',
    headers: { 'retry-after': '2' },
    cause: error,
  })
}

/** Whether what failed would succeed if it were tried again later: a database or another service of ours did not answer. */
export function isPassing(error: unknown): boolean {
  if (!(error instanceof Problem)) return databaseProblem(error) !== undefined
  return error.status === 503 && passingCodes.has(error.code)
}

const passingCodes = new Set([databaseUnavailable, 'service_unavailable', 'starting', 'too_late', 'not_yet_served'])

/** A socket of a server that is not there yet. Of a file these would be another matter, hence the system call. */
function isOfSocket(code: string, syscall: unknown): boolean {
  return syscall === 'connect' && (code === 'ENOENT' || code === 'EACCES')
}

/** Prisma puts what the driver said deep inside. */
function awayState(error: unknown, depth = 0): string | undefined {
  if (typeof error !== 'object' || error === null || depth > deepest) return undefined
  const { code, originalCode, message, cause, meta, syscall } = error as {
    code?: unknown
    syscall?: unknown
    originalCode?: unknown
    message?: unknown
    cause?: unknown
    meta?: { driverAdapterError?: unknown }
  }
  for (const one of [code, originalCode])
    if (typeof one === 'string' && (awayStates.test(one) || awayCodes.has(one) || isOfSocket(one, syscall))) return one
  if (typeof message === 'string' && awayTexts.test(message)) return 'away'
  return awayState(cause, depth + 1) ?? awayState(meta?.driverAdapterError, depth + 1)
}
