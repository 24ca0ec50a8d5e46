import { randomUUID } from 'node:crypto'
import { type Database, Problem } from '@berth/service'

const windowSeconds = 300
const mostPerAccountAndAddress = 10
const mostPerAddress = 100

export type Throttle = {
  /** Counts an attempt before it is judged, or throws 429 when there were too many. Answers how to take it off the count. */
  begin(name: string, ip: string): Promise<{ succeeded: () => Promise<void> }>
  /** Forgets attempts that no longer count. */
  prune(): Promise<void>
}

/**
 * Limits guesses: 10 failures in five minutes for an account from one address, 100 from one address (reliability.md §3.2, "Brute
 * force"). An account as such is never locked: whoever wants to keep its owner out would only have to guess wrong. An
 * attempt counts as failed from its beginning, so that a thousand at once do not all slip below the limit.
 */
export function createThrottle(db: Database): Throttle {
  return {
    begin: async (name, ip) => {
      const id = randomUUID()
      await db.transaction(async (sql) => {
        await sql.query("select pg_advisory_xact_lock(hashtextextended('berth login ' || $1, 0))", [ip])
        const [counts] = await sql.query<{ account: number; address: number; waitSeconds: number }>(
          `select count(*) filter (where name = $1) as account, count(*) as address,
             ceil(extract(epoch from min(at) + make_interval(secs => $3) - now()))::integer as "waitSeconds"
           from login_attempt where ip = $2 and at > now() - make_interval(secs => $3)`,
          [name, ip, windowSeconds],
        )
        if (counts && (counts.account >= mostPerAccountAndAddress || counts.address >= mostPerAddress))
          throw tooMany(counts.waitSeconds)
        await sql.query('insert into login_attempt (id, name, ip) values ($1, $2, $3)', [id, name, ip])
      })
      return {
        succeeded: async () =>
          void (await db.query('delete from login_attempt where name = $1 and ip = $2', [name, ip])),
      }
    },
    prune: async () =>
      void (await db.query('delete from login_attempt where at <= now() - make_interval(secs => $1)', [windowSeconds])),
  }
}

function tooMany(waitSeconds: number): Problem {
  const seconds = Math.max(1, waitSeconds)
  return new Problem(429, 'too_many_attempts', 'Too many failed logins from this address.', {
    hint: `Wait ${seconds} seconds and check the password.`,
    headers: { 'retry-after': String(seconds) },
  })
}
