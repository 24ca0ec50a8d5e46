import type { Database, Sql } from '@berth/service'

/** A round that is carried out, with what was done of it before. `startedAt`: what was looked at since is done. */
export type Round = { id: string; startedAt: Date } & Checked
export type Checked = { checked: number; checkedBytes: number; damaged: number }

const keptRounds = 100
const roundColumns = `id, started_at as "startedAt", checked, checked_bytes as "checkedBytes", damaged`

/** Takes over the round that nobody carries out, or begins the next one. `undefined`: another one has it. By the database's clock. */
export async function takeRound(
  db: Database,
  { holder, leaseSeconds }: { holder: string; leaseSeconds: number },
): Promise<Round | undefined> {
  return db.transaction(async (sql) => {
    await sql.query("select pg_advisory_xact_lock(hashtextextended('berth scrub', 0))")
    const [taken] = await sql.query<Round>(
      `update scrub_round
       set holder = $1, lease_until = now() + make_interval(secs => $2)
       where finished_at is null
         and (holder = $1 or lease_until < now())
       returning ${roundColumns}`,
      [holder, leaseSeconds],
    )
    if (taken) return taken
    const [begun] = await sql.query<Round>(
      `insert into scrub_round (holder, lease_until)
       select $1, now() + make_interval(secs => $2)
       where not exists (select from scrub_round where finished_at is null)
       returning ${roundColumns}`,
      [holder, leaseSeconds],
    )
    return begun
  })
}

/** Keeps a round, adding what was looked at since the last time. False: another replica has it. */
export async function keepRound(
  sql: Sql,
  { id, holder, leaseSeconds }: { id: string; holder: string; leaseSeconds: number },
  { checked, checkedBytes, damaged }: Checked,
): Promise<boolean> {
  const kept = await sql.query(
    `update scrub_round
     set
       lease_until = now() + make_interval(secs => $3),
       checked = checked + $4,
       checked_bytes = checked_bytes + $5,
       damaged = damaged + $6
     where id = $1
       and holder = $2
       and finished_at is null
     returning id`,
    [id, holder, leaseSeconds, checked, checkedBytes, damaged],
  )
  return kept.length > 0
}

/** Notes that all of a round is done. */
export async function endRound(sql: Sql, id: string, holder: string): Promise<void> {
  await sql.query('update scrub_round set finished_at = now() where id = $1 and holder = $2 and finished_at is null', [
    id,
    holder,
  ])
  await sql.query(
    `delete from scrub_round
     where id in (
       select id
       from scrub_round
       order by started_at desc
       offset $1)`,
    [keptRounds],
  )
}

/** The round under way, or the last one; null before the first. */
export async function lastRound(
  sql: Sql,
): Promise<({ startedAt: string; finishedAt: string | null } & Checked) | null> {
  const [round] = await sql.query<{ startedAt: Date; finishedAt: Date | null } & Checked>(
    `select started_at as "startedAt", finished_at as "finishedAt", checked, checked_bytes as "checkedBytes", damaged
     from scrub_round
     order by started_at desc
     limit 1`,
  )
  if (!round) return null
  const { startedAt, finishedAt, ...checked } = round
  return { startedAt: startedAt.toISOString(), finishedAt: finishedAt?.toISOString() ?? null, ...checked }
}
