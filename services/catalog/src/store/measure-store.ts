import { Counter, type Database, Gauge, type Logger, type Metrics } from '@berth/service'
import type { CollectCounts } from '../collect/gc-work.ts'

type Registry = Metrics['registry']
type Cared = { candidates: number; damaged: number; collectedAt: number | null }
type Stored = { bytes: number; objects: number }

// A look costs no more than this, however much there is.
const mostCounted = 10_000
// To sum up all objects takes seconds where there are millions of them.
const sumEveryMs = 600_000

const cared = `
  select
    (
      select count(*)::integer
      from (
        select
        from blob
        where candidate_since is not null
        limit ${mostCounted}) as counted) as candidates,
    (
      select count(*)::integer
      from (
        select
        from blob
        where damage is not null
          and damage <> 'healed'
        limit ${mostCounted}) as counted) as damaged,
    (
      select extract(epoch from max(finished_at))::float8
      from gc_run
      where error is null) as "collectedAt"`

const stored = `
  select coalesce(sum(size_bytes), 0)::bigint as bytes, count(*) as objects
  from blob
  where state = 'present'`

/** Makes the metrics of the store's content and care. What is read from the database is the same in all replicas. */
export function measureStore({ registry }: Pick<Metrics, 'registry'>, db: Database, log: Logger): CollectCounts {
  const read =
    <Row>(text: string) =>
    async () => {
      const rows = await db.query<Row & Record<string, unknown>>(text).catch((error: unknown) => {
        // The other metrics are all the more wanted then.
        log.warn('metrics lack what the store holds', { error })
        return []
      })
      return rows[0] as Row | undefined
    }
  showGauges<Cared>(registry, shared(read<Cared>(cared), 0), [
    [
      'berth_gc_candidates',
      `Objects that nothing needs and that go after the grace time; ${mostCounted} stands for as many or more.`,
      (row) => row.candidates,
    ],
    [
      'berth_storage_damaged',
      `Objects that were found missing or damaged and are not served; ${mostCounted} stands for as many or more.`,
      (row) => row.damaged,
    ],
    [
      'berth_gc_last_success_timestamp_seconds',
      'When a run of the collector last ended well, in seconds since 1970; 0 before the first.',
      (row) => row.collectedAt ?? 0,
    ],
  ])
  showGauges<Stored>(registry, shared(read<Stored>(stored), sumEveryMs), [
    [
      'berth_storage_bytes',
      'Bytes that are stored, each object once, as of ten minutes ago at most.',
      (row) => row.bytes,
    ],
    ['berth_storage_objects', 'Objects that are stored, as of ten minutes ago at most.', (row) => row.objects],
  ])
  const deleted = new Counter({
    name: 'berth_gc_deleted_total',
    help: 'Objects that runs of the collector removed.',
    registers: [registry],
  })
  const freed = new Counter({
    name: 'berth_gc_freed_bytes_total',
    help: 'Bytes that runs of the collector freed.',
    registers: [registry],
  })
  return {
    collected: ({ removed, orphans, removedBytes, orphanBytes }) => {
      deleted.inc(removed + orphans)
      freed.inc(removedBytes + orphanBytes)
    },
  }
}

/** One answer for all gauges of a look, and for those of later ones until it is `goodForMs` old. */
function shared<Row>(read: () => Promise<Row | undefined>, goodForMs: number): () => Promise<Row | undefined> {
  let last: { at: number; row: Promise<Row | undefined> } | undefined
  return () => {
    if (last && performance.now() - last.at <= goodForMs) return last.row
    const row = read()
    const current = { at: Number.POSITIVE_INFINITY, row }
    last = current
    // From when it is there; an answer that did not come is asked for again.
    row.then(
      (known) => {
        current.at = known && goodForMs > 0 ? performance.now() : Number.NEGATIVE_INFINITY
      },
      () => {
        current.at = Number.NEGATIVE_INFINITY
      },
    )
    return row
  }
}

function showGauges<Row>(
  registry: Registry,
  read: () => Promise<Row | undefined>,
  gauges: readonly [name: string, help: string, valueOf: (row: Row) => number][],
): void {
  for (const [name, help, valueOf] of gauges)
    registry.registerMetric(
      new Gauge({
        name,
        help,
        registers: [],
        async collect() {
          const row = await read()
          // Of what is not known nothing is said: 0 would be wrong.
          this.remove()
          if (row) this.set(valueOf(row))
        },
      }),
    )
}
