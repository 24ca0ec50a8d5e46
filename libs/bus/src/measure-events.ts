import { Counter, type Database, Gauge, type Logger, type Metrics } from '@berth/service'

/** Counts what becomes of events. */
export type EventCounts = {
  published(count: number): void
  /** `failed`: to be tried again. `set_aside`: a dead letter. `foreign`: no event of the service, whoever wrote it. */
  consumed(consumer: string, result: 'handled' | 'failed' | 'set_aside' | 'foreign', count: number): void
}
type Service = { service: string; db: Database; log: Logger }
type Waiting = { pending: number; oldestSeconds: number }
type Letters = { consumer: string; count: number }
type Registry = Metrics['registry']

// A look costs no more than this, however much there is.
const mostCounted = 10_000

const waiting = `
  select
    (
      select count(*)::integer
      from (
        select
        from outbox
        where published_at is null
        limit ${mostCounted}) as counted) as pending,
    coalesce(
      (
        select extract(epoch from now() - recorded_at)::float8
        from outbox
        where published_at is null
        order by position
        limit 1),
      0) as "oldestSeconds"`

const setAside = `
  select consumer,
    (
      select count(*)::integer
      from (
        select
        from dead_letter
        where dead_letter.consumer = known.consumer
        limit ${mostCounted}) as counted) as count
  from (
    select distinct consumer
    from inbox) as known
  order by consumer`

/** The services of this process, for its metrics are of all of them. */
const measured = new WeakMap<Registry, Service[]>()

/** Makes the metrics of a service's events; those of all services of a process are series of the same. */
export function measureEvents({ registry }: Pick<Metrics, 'registry'>, service: Service): EventCounts {
  const services = measured.get(registry) ?? []
  if (services.length === 0) showGauges(registry, services)
  measured.set(registry, services)
  services.push(service)
  const published = counterOf(registry, 'berth_events_published_total', 'Events that NATS has taken.', ['service'])
  const consumed = counterOf(registry, 'berth_events_consumed_total', 'Events that a consumer has come to.', [
    'consumer',
    'result',
  ])
  published.inc({ service: service.service }, 0)
  return {
    published: (count) => published.inc({ service: service.service }, count),
    consumed: (consumer, result, count) => consumed.inc({ consumer, result }, count),
  }
}

function counterOf(registry: Registry, name: string, help: string, labelNames: string[]): Counter {
  const known = registry.getSingleMetric(name)
  return (known as Counter | undefined) ?? new Counter({ name, help, labelNames, registers: [registry] })
}

function showGauges(registry: Registry, services: readonly Service[]): void {
  const gauge = (name: string, help: string, label: string, read: (service: Service) => Promise<[string, number][]>) =>
    new Gauge({
      name,
      help,
      labelNames: [label],
      registers: [registry],
      async collect() {
        const rows = await Promise.all(services.map((service) => read(service).catch(lacking(service, name))))
        this.reset()
        for (const [value, count] of rows.flat()) this.set({ [label]: value }, count)
      },
    })
  const outbox = (value: (row: Waiting) => number) => async (one: Service) =>
    (await one.db.query<Waiting>(waiting)).map((row): [string, number] => [one.service, value(row)])
  const pending = `Events that are recorded and not announced yet; ${mostCounted} stands for as many or more.`
  gauge(
    'berth_outbox_pending',
    pending,
    'service',
    outbox((row) => row.pending),
  )
  const oldest = 'How long the oldest of them has waited.'
  gauge(
    'berth_outbox_oldest_seconds',
    oldest,
    'service',
    outbox((row) => row.oldestSeconds),
  )
  const letters = `Events that a consumer has set aside; ${mostCounted} stands for as many or more.`
  gauge('berth_dlq_size', letters, 'consumer', async ({ db }) =>
    (await db.query<Letters>(setAside)).map(({ consumer, count }) => [consumer, count]),
  )
}

/** The other metrics are all the more wanted when a database is away. */
function lacking({ log }: Service, name: string): (error: unknown) => [] {
  return (error) => {
    log.warn('metrics lack what a database would tell', { metric: name, error })
    return []
  }
}
