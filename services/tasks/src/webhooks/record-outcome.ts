import type { Database, Transaction } from '@berth/service'
import { disableWebhook } from './change-webhooks.ts'
import type { Claimed } from './claim.ts'
import type { Outcome, Tried } from './send.ts'

const failuresToDisable = 20
const failingHours = 24

/**
 * Notes what came of a try, and when the next one is; `waitsSeconds` are the waits before each try. Nothing is noted of a lease that has
 * ended meanwhile: somebody else tries then, and notes that.
 */
export async function recordOutcome(
  db: Database,
  claimed: Claimed,
  outcome: Outcome,
  waitsSeconds: readonly number[],
): Promise<void> {
  await db.transaction(async (sql) => {
    const [held] = await sql.query<{ tries: number }>(
      `select tries
       from webhook_delivery
       where id = $1
         and lease = $2
       for update`,
      [claimed.id, claimed.lease],
    )
    if (!held) return
    if (outcome.is === 'unseen') await sql.query('delete from webhook_delivery where id = $1', [claimed.id])
    else if (outcome.is === 'over') await end(sql, claimed, { state: 'failed', error: outcome.error })
    else if (outcome.is === 'disabled') {
      await sql.query('update webhook_delivery set leased_until = null where id = $1', [claimed.id])
      await disableWebhook(sql, claimed.webhookId, outcome.reason)
    } else await recordTry(sql, { ...claimed, tries: held.tries + 1 }, outcome.tried, waitsSeconds)
  })
}

async function recordTry(
  sql: Transaction,
  claimed: Claimed,
  tried: Tried,
  waitsSeconds: readonly number[],
): Promise<void> {
  const { id, tries, webhookId, event } = claimed
  const { accountId, durationMs, requestHeaders, requestBody, status = null, error = null } = tried
  await sql.query(
    `insert into webhook_try
       (delivery, number, duration_ms, request_headers, request_body, status, response_headers, response_body, error,
        account_id)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [
      id,
      tries,
      durationMs,
      JSON.stringify(requestHeaders),
      requestBody,
      status,
      tried.responseHeaders === undefined ? null : JSON.stringify(tried.responseHeaders),
      tried.responseBody ?? null,
      error,
      accountId,
    ],
  )
  if (error === null) {
    await end(sql, claimed, { state: 'delivered', status })
    await sql.query(
      'update webhook set failures = 0, failing_since = null where id = $1 and failing_since is not null',
      [webhookId],
    )
    return
  }
  const wait = waitsSeconds[tries]
  if (event === null || wait === undefined || status === 410)
    await end(sql, claimed, { state: 'failed', status, error })
  else
    await sql.query(
      `update webhook_delivery
       set tries = $2, status = $3, error = $4, leased_until = null, next_at = now() + make_interval(secs => $5)
       where id = $1`,
      [id, tries, status, error, wait],
    )
  if (event !== null) await countFailure(sql, webhookId, status)
}

/** After 20 failures over a day without a success between, or where the receiver says that it is gone, nothing more is sent. */
async function countFailure(sql: Transaction, webhookId: string, status: number | null): Promise<void> {
  const [row] = await sql.query<{ failures: number; isOver: boolean }>(
    `update webhook
     set failures = failures + 1, failing_since = coalesce(failing_since, now())
     where id = $1
     returning failures, failing_since <= now() - make_interval(hours => $2) as "isOver"`,
    [webhookId, failingHours],
  )
  if (status === 410) await disableWebhook(sql, webhookId, 'the receiver answered 410: it wants no more')
  else if (row && row.failures >= failuresToDisable && row.isOver)
    await disableWebhook(sql, webhookId, `${row.failures} tries over ${failingHours} hours failed`)
}

async function end(
  sql: Transaction,
  { id, tries }: Claimed,
  {
    state,
    status = null,
    error = null,
  }: { state: 'delivered' | 'failed'; status?: number | null; error?: string | null },
): Promise<void> {
  await sql.query(
    `update webhook_delivery
     set state = $2, tries = $3, status = $4, error = $5, leased_until = null, finished_at = now()
     where id = $1`,
    [id, state, tries, status, error],
  )
}
