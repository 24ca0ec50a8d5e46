import { Counter, type Database, Gauge, type Logger, type Metrics } from '@berth/service'

/** Counts what becomes of a try. */
export type WebhookCounts = (result: 'delivered' | 'failed') => void

// A look costs no more than this, however much waits.
const mostCounted = 10_000

const waiting = `
  select count(*)::integer as count, coalesce(extract(epoch from now() - min(next_at)), 0)::float8 as late
  from (
    select next_at
    from webhook_delivery
    join webhook on webhook.id = webhook_id
    where state = 'waiting'
      and active
      and next_at <= now()
    limit ${mostCounted}) as due`
type Waiting = { count: number; late: number }

/** Makes the metrics of webhooks. */
export function measureWebhooks({ registry }: Pick<Metrics, 'registry'>, db: Database, log: Logger): WebhookCounts {
  const registers = [registry]
  const tries = new Counter({
    name: 'berth_webhook_tries_total',
    help: 'Tries to send an event to a webhook.',
    labelNames: ['result'],
    registers,
  })
  for (const result of ['delivered', 'failed']) tries.inc({ result }, 0)
  const late = new Gauge({
    name: 'berth_webhook_late_seconds',
    help: 'How long the delivery that has waited longest is due.',
    registers,
  })
  const due = new Gauge({
    name: 'berth_webhook_due',
    help: `Deliveries that are due; ${mostCounted} stands for as many or more.`,
    registers: [],
    async collect() {
      const [row] = await db.query<Waiting>(waiting).catch((error: unknown): Waiting[] => {
        log.warn('metrics lack the deliveries that are due', { error })
        return []
      })
      this.reset()
      late.reset()
      if (!row) return
      this.set(row.count)
      late.set(row.late)
    },
  })
  registry.registerMetric(due)
  return (result) => tries.inc({ result })
}
