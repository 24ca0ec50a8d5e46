import { Counter, type Database, type Denial, type Metrics, Problem, withAudit } from '@berth/service'
import type { CheckPassword } from './check-password.ts'

const longestName = 1_024

/** Has `denied` and the metrics hear of each login that fails, or is not judged any more because too many did. */
export function countFailures(
  db: Database,
  checkPassword: CheckPassword,
  { denied, metrics }: { denied: (denial: Denial) => void; metrics: Metrics },
): CheckPassword {
  const failures = new Counter({
    name: 'berth_auth_failures_total',
    help: 'Logins by a password that failed, and those that were not judged because too many did.',
    labelNames: ['reason'],
    registers: [metrics.registry],
  })
  for (const reason of ['wrong', 'throttled']) failures.inc({ reason }, 0)
  const count = async (name: string, ip: string, reason: 'wrong' | 'throttled') => {
    failures.inc({ reason })
    const id = await idOf(db, name)
    denied({
      result: 'login_failed',
      action: 'login',
      actor: { id: null, name: id === undefined ? 'unknown' : name },
      object: { kind: 'account', id: id ?? null, name: id === undefined ? null : name },
      detail: null,
      address: ip,
      requestId: '',
    })
  }
  return async (name, password, ip) => {
    try {
      // What is counted about guesses is no change that somebody makes.
      const account = await withAudit(undefined, () => checkPassword(name, password, ip))
      if (!account) await count(name, ip, 'wrong')
      return account
    } catch (error) {
      if (error instanceof Problem && error.status === 429) await count(name, ip, 'throttled')
      throw error
    }
  }
}

/**
 * Whose name was tried. One that is nobody's is not told: it may be a password in the wrong field. Looked for in any case, so that the time
 * of a refusal tells nothing.
 */
async function idOf(db: Database, name: string): Promise<string | undefined> {
  if (name.length > longestName || name.includes('\0')) return undefined
  const [holder] = await db.query<{ id: string }>('select id from holder where name = $1', [name])
  return holder?.id
}
