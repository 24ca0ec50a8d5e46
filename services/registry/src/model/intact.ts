import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { OciError } from '@berth/oci'
import type { Database, Logger } from '@berth/service'

/** As SQL: whether the model lacks nothing that it had, after the last crash of PostgreSQL too. */
export const isIntact = 'exists (select from model_intact where compared)'

const patienceMs = 1_500

/**
 * Has the model compared with catalog after a crash of PostgreSQL, which may have taken back the last changes: until then an old tag
 * might be served. Ends once it is; one comparison serves all that wait. Throws UNAVAILABLE when it takes longer than a pull waits, and goes
 * on.
 */
export function createIntactGuard(
  db: Database,
  { compare, log }: { compare: () => Promise<void>; log: Logger },
): () => Promise<void> {
  let comparing: Promise<void> | undefined

  const run = async () => {
    log.warn('PostgreSQL has crashed, or was restored; what is served is compared with catalog')
    const token = randomUUID()
    await db.query('insert into model_intact (token) values ($1)', [token])
    await compare()
    // Another crash since the beginning has taken this row too; then the comparison says nothing.
    const done = await db.query(
      `update model_intact
       set compared = true
       where token = $1
       returning token`,
      [token],
    )
    if (done.length === 0) throw unavailable('PostgreSQL has crashed again')
    await db.query('delete from model_intact where not compared')
    log.info('what is served is level with catalog again')
  }
  return async () => {
    if (!comparing) {
      comparing = run().finally(() => {
        comparing = undefined
      })
      comparing.catch(() => 'told to those who wait; the next one tries again')
    }
    const over = new AbortController()
    const late = delay(patienceMs, undefined, { signal: over.signal }).then(() => {
      throw unavailable('what is served is being compared with catalog')
    })
    late.catch(() => 'over')
    await Promise.race([comparing, late]).finally(() => over.abort())
  }
}

function unavailable(reason: string): OciError {
  return new OciError('UNAVAILABLE', `the database has crashed, and ${reason}; try again`, {
    headers: { 'retry-after': '2' },
  })
}
