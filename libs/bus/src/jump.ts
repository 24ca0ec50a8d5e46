import type { Sql } from '@berth/service'

/** An event as subscribers have seen it: where it stood, and which one it was. */
export type Announced = { position: number; id: string }

type Head = { position: number; restored: string | null }

// Between what a consumer of ours has done and what comes next there is always a gap, so that it asks and hears of the jump.
const gap = 1
// Far more than were announced between a backup and its restore.
const restoredBy = 2 ** 32

/**
 * Moves all positions to come beyond those that subscribers have seen, when the last event on the bus is none of ours: then this
 * database is a restored one, or a standby that had not heard of the last commits. Answers the new head, and `undefined` when
 * there was no need. Call it in a transaction.
 */
export async function jumpBeyond(sql: Sql, { position, id }: Announced): Promise<number | undefined> {
  const head = await lockHead(sql)
  const published = await lastPublished(sql, head)
  if (position <= published) return undefined
  // It was published, and we were ended before that was noted.
  const own = await sql.query('select from outbox where id::text = $1 and position = $2', [id, position])
  if (own.length > 0) return undefined
  return shift(sql, { head, published, to: position })
}

/**
 * Moves all positions to come by 2^32 and more, once for each `restore`: that is what an operator calls it. The time in
 * milliseconds is the least to begin from: a backup that is restored a second time then does not repeat what followed the first.
 * Answers the new head, and `undefined` when it was done before. Call it in a transaction.
 */
export async function jumpAfterRestore(sql: Sql, restore: string): Promise<number | undefined> {
  const head = await lockHead(sql)
  if (head.restored === restore) return undefined
  await sql.query('update outbox_head set restored = $1', [restore])
  const to = Math.max(head.position, Date.now()) + restoredBy
  return shift(sql, { head, published: await lastPublished(sql, head), to })
}

async function lockHead(sql: Sql): Promise<Head> {
  const [head] = await sql.query<Head>('select position, restored from outbox_head for update')
  return head ?? { position: 0, restored: null }
}

/** Up to where events have gone out. Those before the last jump had, though they are sent again after the stream was lost. */
async function lastPublished(sql: Sql, head: Head): Promise<number> {
  const [row] = await sql.query<{ waiting: number | null; jumped: number | null }>(
    `select
       (select min(position) - 1 from outbox where published_at is null) as waiting,
       (select max(from_position + by) from outbox_jump) as jumped`,
  )
  return Math.max(row?.waiting ?? head.position, row?.jumped ?? 0)
}

async function shift(sql: Sql, { head, published, to }: { head: Head; published: number; to: number }) {
  // Above the head too: no two rows may meet at one position while they move.
  const by = Math.max(to, head.position) + gap - published
  await sql.query('insert into outbox_jump (from_position, until, by) values ($1, $2, $3)', [
    published,
    head.position,
    by,
  ])
  await sql.query('update outbox set position = position + $2 where position > $1', [published, by])
  await sql.query('update outbox_head set position = $1', [head.position + by])
  return head.position + by
}
