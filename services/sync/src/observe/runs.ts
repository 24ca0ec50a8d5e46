import { Counter, type Database, Gauge, Histogram, type Logger, type Metrics } from '@berth/service'

export type RunResult = 'completed' | 'partial' | 'failed' | 'cancelled'

/** Counts how runs end. */
export type RunMetrics = {
  /** Without a duration: it ended before a worker had it. */
  ended(result: RunResult, seconds?: number): void
}

// As many remotes as these are shown, by name.
const mostRemotes = 1_000

type LastSuccess = { remote: string; at: number | null; lagSeconds: number }

/** Makes the metrics of sync runs. When a remote was last synced well is read from the database, so that all replicas say the same. */
export function createRunMetrics({ registry }: Pick<Metrics, 'registry'>, db: Database, log: Logger): RunMetrics {
  const runs = new Counter({
    name: 'berth_sync_runs_total',
    help: 'Sync runs that ended here. "partial": some tags failed and were skipped.',
    labelNames: ['result'],
    registers: [registry],
  })
  const duration = new Histogram({
    name: 'berth_sync_duration_seconds',
    help: 'Time from the start of a sync run, or from when it was begun again, to its end.',
    buckets: [0.5, 2, 10, 30, 120, 600, 1_800, 7_200, 21_600],
    registers: [registry],
  })
  showLastSuccess(registry, readLastSuccess(db, log))
  return {
    ended: (result, seconds) => {
      runs.inc({ result })
      if (seconds !== undefined) duration.observe(seconds)
    },
  }
}

function showLastSuccess(registry: Metrics['registry'], read: () => Promise<LastSuccess[]>): void {
  const of = (name: string, help: string, valueOf: (row: LastSuccess) => number | null) =>
    new Gauge({
      name,
      help,
      labelNames: ['remote'],
      registers: [registry],
      async collect() {
        const rows = await read()
        this.reset()
        for (const row of rows) {
          const value = valueOf(row)
          if (value !== null) this.set({ remote: row.remote }, value)
        }
      },
    })
  of('berth_sync_last_success_timestamp_seconds', 'When a remote was last synced well.', ({ at }) => at)
  of(
    'berth_sync_lag_seconds',
    'How long ago a remote was last synced well, or made if it never was.',
    ({ lagSeconds }) => lagSeconds,
  )
}

function readLastSuccess(db: Database, log: Logger): () => Promise<LastSuccess[]> {
  let running: Promise<LastSuccess[]> | undefined
  return () => {
    // Both gauges ask at each look.
    running ??= db
      .query<LastSuccess>(
        `select remote.name as remote, extract(epoch from success.finished_at)::float8 as at,
           extract(epoch from now() - coalesce(success.finished_at, remote.created_at))::float8 as "lagSeconds"
         from remote
         left join lateral (
           select finished_at
           from sync_run as run
           where run.remote_id = remote.id
             and run.state = 'completed'
             and not run.dry_run
           order by finished_at desc
           limit 1) as success on true
         where remote.upstream_name is not null or remote.target_prefix is not null or success.finished_at is not null
         order by remote.name
         limit ${mostRemotes}`,
      )
      .catch((error: unknown) => {
        // The other metrics are all the more wanted then.
        log.warn('metrics lack when remotes were last synced', { error })
        return []
      })
      .finally(() => {
        running = undefined
      })
    return running
  }
}
