import { randomUUID } from 'node:crypto'
import { authEvents, recordEvents } from '@berth/bus'
import { type Database, networkOf, Problem, type Transaction } from '@berth/service'
import { LRUCache } from 'lru-cache'
import { createTurns } from '../passwords/turns.ts'

const windowSeconds = 300
/** Failures in five minutes, from the narrowest to the widest. */
const limits = { account: 10, network: 100, site: 1_000, all: 3_000 }
// The counting takes connections that other logins need, so it waits in a line of its own.
const countedAtOnce = 2
const mostWaiting = 500
const mostTold = 10_000

export type Throttle = {
  /** Counts an attempt before it is judged, or throws 429 when there were too many. Answers how to take it off the count. */
  begin(name: string, ip: string): Promise<{ succeeded: () => Promise<void> }>
  /** Forgets attempts that no longer count. */
  prune(): Promise<void>
}

type Count = { count: number; waitSeconds: number | null }
type Counts = Record<keyof typeof limits, Count>

/**
 * Limits guesses, by failures in five minutes: 10 for an account from one network, 100 from one network, which is an address of
 * IPv4 or a /64 of IPv6, 1,000 from a /48, and 3,000 in all (docs/guarantees.md#guesses). An account as such is never locked,
 * and a user who logged in within a day is not counted here at all (`known-logins.ts`): otherwise an attacker would keep an owner
 * out by guessing wrong. An attempt counts as failed from its beginning, so that a thousand at once do not all slip
 * below the limit.
 */
export function createThrottle(db: Database): Throttle {
  const told = new LRUCache<string, true>({ max: mostTold, ttl: windowSeconds * 1_000 })
  const inTurn = createTurns({ runsAtOnce: countedAtOnce, mostWaiting })
  return {
    begin: async (name, ip) => {
      const attempt = { id: randomUUID(), name, network: networkOf(ip, 64), site: networkOf(ip, 48) }
      await inTurn(() => db.transaction((sql) => count(sql, attempt, told)))
      return {
        succeeded: async () =>
          void (await db.query('delete from login_attempt where name = $1 and network = $2', [name, attempt.network])),
      }
    },
    prune: async () =>
      void (await db.query('delete from login_attempt where at <= now() - make_interval(secs => $1)', [windowSeconds])),
  }
}

async function count(
  sql: Transaction,
  { id, name, network, site }: { id: string; name: string; network: string; site: string },
  told: LRUCache<string, true>,
): Promise<void> {
  await sql.query("select pg_advisory_xact_lock(hashtextextended('berth login', 0))")
  const of = (condition: string) =>
    `jsonb_build_object('count', count(*) filter (where ${condition}), 'waitSeconds',
       ceil(extract(epoch from min(at) filter (where ${condition}) + make_interval(secs => $4) - now())))`
  const [counts] = await sql.query<Counts>(
    `select ${of('name = $1 and network = $2')} as account, ${of('network = $2')} as network, ${of('site = $3')} as site,
       ${of('true')} as all
     from login_attempt
     where at > now() - make_interval(secs => $4)`,
    [name, network, site, windowSeconds],
  )
  for (const kind of Object.keys(limits) as (keyof Counts)[]) {
    const found = counts?.[kind]
    if (found && found.count >= limits[kind]) throw tooMany(kind, found.waitSeconds ?? windowSeconds)
  }
  await sql.query('insert into login_attempt (id, name, network, site) values ($1, $2, $3, $4)', [
    id,
    name,
    network,
    site,
  ])
  // The one that reaches a limit tells of it: those behind it are refused, and are no news. Nor is it while the attack goes on.
  const reached = (Object.keys(limits) as (keyof Counts)[]).filter(
    (kind) => counts?.[kind].count === limits[kind] - 1 && !told.has(`${kind} ${network}`),
  )
  for (const kind of reached) told.set(`${kind} ${network}`, true)
  await recordEvents(
    sql,
    reached.map((limit) => ({
      kind: authEvents.loginThrottled,
      data: { limit, network, failures: limits[limit], seconds: windowSeconds },
    })),
  )
}

function tooMany(kind: keyof Counts, waitSeconds: number): Problem {
  const seconds = Math.max(1, waitSeconds)
  const where = kind === 'all' ? '' : ' from this address'
  return new Problem(429, 'too_many_attempts', `Too many failed logins${where}.`, {
    hint: `Wait ${seconds} seconds and check the password.`,
    headers: { 'retry-after': String(seconds) },
  })
}
