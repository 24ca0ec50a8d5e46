import { authEvents, recordEvents } from '@berth/bus'
import type { Database } from '@berth/service'

type Expiring = { id: string; name: string; namespace: string | null; expiresAt: Date; days: number }

// Each of the two once; who has an end of less than a day is told of once, by the later one.
const expiring = `
  update robot
  set told_days = case when expires_at <= now() + interval '1 day' then 1 else 14 end
  where expires_at > now()
    and expires_at <= now() + interval '14 days'
    and (told_days is null or (told_days > 1 and expires_at <= now() + interval '1 day'))
  returning id, name, namespace, expires_at as "expiresAt", told_days as days`

/** Announces 14 days before a robot ends that it will, and again a day before. */
export async function tellExpiring(db: Database): Promise<void> {
  await db.transaction(async (sql) => {
    const rows = await sql.query<Expiring>(expiring)
    const events = rows.map(({ expiresAt, ...robot }) => ({
      kind: authEvents.robotExpiring,
      data: { ...robot, expiresAt: expiresAt.toISOString() },
    }))
    await recordEvents(sql, events)
  })
}
