import { Gauge } from 'prom-client'
import type { Database } from './database.ts'
import type { Metrics } from './metrics.ts'

type Pool = Database['pool']

/** The services of this process, for its metrics are of all of them. */
const measured = new WeakMap<Metrics['registry'], Map<string, Pool>>()

/** Shows how many connections to the database a service has in use, may have, and how many statements wait for one. */
export function measurePool({ registry }: Pick<Metrics, 'registry'>, service: string, { pool }: Database): void {
  const pools = measured.get(registry) ?? new Map<string, Pool>()
  pools.set(service, pool)
  if (measured.has(registry)) return
  measured.set(registry, pools)
  const gauge = (name: string, help: string, valueOf: (pool: Pool) => number) =>
    registry.registerMetric(
      new Gauge({
        name,
        help,
        labelNames: ['service'],
        registers: [],
        collect() {
          for (const [service, pool] of pools) this.set({ service }, valueOf(pool))
        },
      }),
    )
  const inUse = (pool: Pool) => pool.totalCount - pool.idleCount
  gauge('berth_db_pool_in_use', 'Connections to the database that are in use.', inUse)
  gauge(
    'berth_db_pool_connections_max',
    'As many connections to the database a service opens.',
    ({ options }) => options.max,
  )
  gauge('berth_db_pool_waiting', 'Statements that wait for a connection to the database.', (pool) => pool.waitingCount)
}
